"""The state of the automaton: one row of a few numbers for each request of a batch.

State is one int32 row per slot, so a step costs the same at thought length 100 and
100,000. ``thinking.sampler.row_state`` defines the row, ``thinking.sampler.transition`` updates
it with a token, and ``thinking.sampler.constraints`` applies it to the next one. The engine's
adapter assigns slots to batch rows. Does not know vLLM.
"""

from dataclasses import dataclass

import numpy as np
import torch

from thinking.phase import TokenKind
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan
from thinking.sampler.answer_tail import AnswerTails
from thinking.sampler.kept_logits import KeptLogits
from thinking.sampler.loop_tensors import LoopImage, LoopTensors
from thinking.sampler.row_state import (
    Field,
    Level,
    make_row,
    read_plan_values,
    read_state_values,
)
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker


@dataclass(frozen=True, slots=True)
class SlotImage:
    """Contents of one slot, to be written to the device."""

    state: list[int]
    levels: list[float]
    script: tuple[int, ...]
    loop: LoopImage
    tail: bytes
    strings: tuple[str, ...]


class ThinkingAutomaton:
    """Slots of per-request state.

    Shapes: state ``[capacity + 1, len(Field)]`` and scripts ``[capacity + 1,
    MAX_SCRIPT_TOKENS]``, int32; levels ``[capacity + 1, len(Level)]``, float32. The last
    slot is scratch: rows without a new token write to it. 3.0 KB per slot with loop guard and
    answer tails, not counting the logits kept for mixing.
    """

    def __init__(
        self,
        tables: AutomatonTables,
        capacity: int,
        device: torch.device,
        kept_segments: int = 1,
    ) -> None:
        self.tables = tables
        self.arrays = arrays = tables.arrays
        slots = capacity + 1
        self.state = arrays.zeros((slots, len(Field)), "int32")
        self.scripts = arrays.zeros((slots, MAX_SCRIPT_TOKENS), "int32")
        self.levels = arrays.zeros((slots, len(Level)), "float32")
        self.loop = LoopTensors(slots, arrays)
        self.tails = AnswerTails(tables.token_bytes, slots, arrays)
        self.kept = KeptLogits(tables.vocab_size, device, kept_segments)
        self._staged: dict[int, SlotImage] = {}

    @property
    def capacity(self) -> int:
        """Number of slots."""
        return len(self.state) - 1

    def load(self, slot: int, plan: ThinkingPlan, output_token_ids: list[int]) -> None:
        """Stage a request for `slot`; :meth:`flush` writes it.

        The tokens that a resumed request has already generated are replayed. Logits kept from
        before a segment cannot be restored: the logits after a segment in which a request was
        preempted are not mixed.
        """
        tracker = ThinkingTracker(self.tables.tracker, plan)
        answer = [
            *tracker.prior_answer_token_ids,
            *(
                token_id
                for token_id in output_token_ids
                if tracker.advance(token_id) is TokenKind.ANSWER
            ),
        ]
        plan = tracker.plan  # as the commands have changed it
        segments = plan.segments
        kept_row = self.kept.assign(slot, wanted=segments is not None and segments.mixes)
        self._staged[slot] = SlotImage(
            state=make_row(
                read_state_values(tracker.state),
                read_plan_values(plan),
                {Field.KEPT_ROW: kept_row},
            ),
            levels=[
                1.0 if plan.early_exit is None else plan.early_exit,
                0.0 if segments is None else segments.threshold,
                1.0 if segments is None else segments.mix,
            ],
            script=plan.script,
            loop=LoopImage.of(tracker.loop),
            tail=self.tails.make_tail(answer) if segments is not None else b"",
            strings=() if segments is None else segments.strings,
        )

    def flush(self) -> None:
        """Write the staged slots; must be called before the next step."""
        if not self._staged:
            return
        images = list(self._staged.values())
        put = self.arrays.put
        slots = put(list(self._staged), "int64")
        scripts = np.zeros((len(images), MAX_SCRIPT_TOKENS))
        for script, image in zip(scripts, images, strict=True):
            script[: len(image.script)] = image.script
        self.state[slots] = put([image.state for image in images], "int32")
        self.levels[slots] = put([image.levels for image in images], "float32")
        self.scripts[slots] = put(scripts, "int32")
        self.loop.write(slots, [image.loop for image in images])
        self.tails.write(slots, [(image.tail, image.strings) for image in images])
        self.kept.flush()
        self._staged.clear()
