"""A small engine around the fused kernels: slots, a record of accepted tokens, and drafts.

Lays out a step as vLLM's Model Runner V2 does: the rows of a request follow each other, one for
the token after the accepted ones and one more after each draft. The kernels run in Triton's
interpreter, on CPU tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from tests.thinking.generators import TOKEN_BYTES, VOCAB_SIZE
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.fused.records import Tokens
from thinking.sampler.fused.step import (
    FusedStep,
    Rows,
    count_kept_segments,
    needs_pass,
)
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

CPU = torch.device("cpu")
PROMPT = [3, 4]
MAX_LENGTH = 400


@dataclass(slots=True)
class Request:
    """A request in a slot; `plan` is None if it did not come from our server."""

    plan: ThinkingPlan | None
    output: list[int] = field(default_factory=list)


class FusedEngine:
    """Slots of requests, and the step that constrains their next tokens."""

    def __init__(
        self,
        shared: TrackerTables,
        num_slots: int,
        num_drafts: int = 0,
        vocab_size: int = VOCAB_SIZE,
    ) -> None:
        tables = AutomatonTables(shared, vocab_size, TorchArrays(CPU), TOKEN_BYTES)
        kept = count_kept_segments(num_drafts)
        self.automaton = ThinkingAutomaton(tables, num_slots, CPU, kept)
        self.fused = FusedStep(self.automaton, num_drafts)
        self.vocab_size = vocab_size
        self.requests: dict[int, Request] = {}
        self._tokens = Tokens(
            ids=torch.zeros((num_slots, MAX_LENGTH), dtype=torch.int32),
            prompt_lengths=torch.zeros(num_slots, dtype=torch.int32),
            lengths=torch.zeros(num_slots, dtype=torch.int32),
        )

    def add(self, slot: int, plan: ThinkingPlan | None, output: Sequence[int] = ()) -> Request:
        """Put a new request into the slot, or one that resumes after `output`."""
        request = Request(plan, list(output))
        self.requests[slot] = request
        seen = None if plan is None else len(request.output)
        if plan is not None:
            self.automaton.load(slot, plan, request.output)
            self.automaton.flush()
        self.fused.set_seen([slot], [seen])
        tokens = PROMPT + request.output
        self._tokens.ids[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        self._tokens.prompt_lengths[slot] = len(PROMPT)
        self._tokens.lengths[slot] = len(tokens)
        return request

    def accept(self, slot: int, token_ids: Sequence[int]) -> None:
        """Record tokens that the engine has accepted."""
        start = int(self._tokens.lengths[slot])
        end = start + len(token_ids)
        self._tokens.ids[slot, start:end] = torch.tensor(list(token_ids), dtype=torch.int32)
        self._tokens.lengths[slot] = end
        self.requests[slot].output.extend(token_ids)

    def constrain(
        self, drafts: Mapping[int, Sequence[int]], logits: torch.Tensor | None = None
    ) -> dict[int, torch.Tensor]:
        """Run a step for the slots of `drafts`, in that order; return the rows of each.

        `logits` (float32 ``[rows, vocab]``; default: zeros) is changed in place.
        """
        slots = [slot for slot, tokens in drafts.items() for _ in range(len(tokens) + 1)]
        offsets = [place for tokens in drafts.values() for place in range(len(tokens) + 1)]
        inputs: list[int] = []
        for slot, tokens in drafts.items():
            inputs += [self._last_token(slot), *tokens]
        if logits is None:
            logits = torch.zeros(len(slots), self.vocab_size)
        rows = Rows(
            slots=torch.tensor(slots),
            offsets=torch.tensor(offsets, dtype=torch.int32),
            input_ids=torch.tensor(inputs, dtype=torch.int32),
        )
        plans = [self.requests[slot].plan for slot in drafts]
        passes = any(plan is not None and needs_pass(plan) for plan in plans)
        self.fused.run(logits, rows, self._tokens, passes=passes)
        counts = [len(tokens) + 1 for tokens in drafts.values()]
        return dict(zip(drafts, torch.split(logits, counts), strict=True))

    def _last_token(self, slot: int) -> int:
        return int(self._tokens.ids[slot, int(self._tokens.lengths[slot]) - 1])
