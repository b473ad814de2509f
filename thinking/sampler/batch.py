"""The rows of one step: which row of the logits is which slot, and what its rows ask for.

Made on the host when the batch changes, so that a step need not ask the device whether
anybody wants a rare option.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thinking.gate import GateMode
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import Array, ArrayLibrary


@dataclass(frozen=True, slots=True)
class Features:
    """What at least one row of a batch asks for."""

    guarded: bool = False  # the loop guard
    gated: bool = False  # thoughts inside the answer
    listening: bool = False  # a gate that waits for a string

    @classmethod
    def of(cls, plans: Sequence[ThinkingPlan]) -> "Features":
        """The union of what `plans` ask for."""
        return cls(
            guarded=any(plan.loop_guard is not None for plan in plans),
            gated=any(plan.segments is not None for plan in plans),
            listening=any(_mode(plan) is GateMode.AFTER for plan in plans),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with a plan.

    `rows` (of the logits) and `slots` are int64 ``[n]``. `exits`, `entropies` and `mixes`
    are the positions, int64 ``[k]``, of those that ask for what costs a pass over the
    vocabulary; None: nobody.
    """

    rows: Array
    slots: Array
    features: Features
    exits: Array | None
    entropies: Array | None
    mixes: Array | None

    @property
    def num_rows(self) -> int:
        """n."""
        return len(self.rows)


def make_batch(
    rows: Sequence[int], slots: Sequence[int], plans: Sequence[ThinkingPlan], arrays: ArrayLibrary
) -> Batch:
    """Lay out a batch; the three sequences have one entry a row."""

    def positions(wanted: list[bool]) -> Array | None:
        if not any(wanted):
            return None
        found = [index for index, want in enumerate(wanted) if want]
        return arrays.put(found, "int64")

    return Batch(
        rows=arrays.put(rows, "int64"),
        slots=arrays.put(slots, "int64"),
        features=Features.of(plans),
        exits=positions([plan.early_exit is not None for plan in plans]),
        entropies=positions([_mode(plan) is GateMode.ENTROPY for plan in plans]),
        mixes=positions([plan.segments is not None and plan.segments.mixes for plan in plans]),
    )


def _mode(plan: ThinkingPlan) -> GateMode:
    return GateMode.NEVER if plan.segments is None else plan.segments.mode
