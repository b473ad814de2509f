"""The sampler: keeps the automaton in sync with a batch whose rows change.

Tracks which batch row holds which request, and which output tokens the automaton has not
seen yet. An engine adapter calls :meth:`ThinkingSampler.update` when its batch changes and
:meth:`ThinkingSampler.apply` once per step. Knows token lists and logits, not vLLM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from thinking.plan import ThinkingPlan
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch, make_batch
from thinking.sampler.constraints import constrain
from thinking.sampler.tables import AutomatonTables
from thinking.sampler.transition import advance


@dataclass(eq=False, slots=True)
class SamplerRow:
    """A request in the batch.

    `output_token_ids` is the engine's own list, which grows as tokens are sampled. A request
    keeps its row object when it moves to another batch row.
    """

    plan: ThinkingPlan
    output_token_ids: list[int]
    slot: int | None = None
    num_seen: int = field(default=0)


class ThinkingSampler:
    """The rows of a batch that have a plan; other rows cost nothing.

    Invariant: distinct rows hold distinct slots, and a slot is free unless a row of the
    last :meth:`update` holds it.
    """

    def __init__(self, tables: AutomatonTables, capacity: int, device: torch.device) -> None:
        self.automaton = ThinkingAutomaton(tables, capacity, device)
        self._arrays = tables.arrays
        self._rows: list[SamplerRow] = []
        self._batch: Batch | None = None

    def update(self, rows: Mapping[int, SamplerRow]) -> None:
        """Set the batch: `rows` maps a row of the logits to its request."""
        self._rows = list(rows.values())
        slots = self._assign_slots()
        plans = [row.plan for row in self._rows]
        self._batch = make_batch(list(rows), slots, plans, self._arrays) if rows else None

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Read the tokens sampled since the last step and constrain the next ones, in place.

        Args:
            logits: float32 ``[batch, vocab]``; rows without a plan are not touched.
        """
        if self._batch is None:
            return logits
        self._catch_up(self._batch)
        constrain(self.automaton, logits, self._batch)
        return logits

    def _assign_slots(self) -> list[int]:
        """Return the slot of each row; new rows are loaded into a free one."""
        taken = {row.slot for row in self._rows}
        free = (slot for slot in range(self.automaton.capacity) if slot not in taken)
        slots = []
        for row in self._rows:
            if row.slot is None:
                row.slot = next(free)
                self.automaton.load(row.slot, row.plan, row.output_token_ids)
                row.num_seen = len(row.output_token_ids)
            slots.append(row.slot)
        self.automaton.flush()
        return slots

    def _catch_up(self, batch: Batch) -> None:
        """Feed the automaton one token per row until all are seen: normally one round.

        A row whose sample was discarded (its prompt is still being read) has no new token.
        """
        while True:
            token_ids, behind = [], []
            for index, row in enumerate(self._rows):
                if row.num_seen < len(row.output_token_ids):
                    token_ids.append(row.output_token_ids[row.num_seen])
                    behind.append(index)
                    row.num_seen += 1
            if not behind:
                return
            slots = batch.slots if len(behind) == len(self._rows) else batch.slots[behind]
            tokens = self._arrays.put(token_ids, "int32")
            advance(self.automaton, slots, tokens, batch.features)
