"""The batch of a step: the slot of each row of the logits, and the options that its rows use.

Built on the host when the batch changes, so that a step does not have to query the device
about rarely used options. Does not know the state of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thinking.gate import GateMode
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import Array, ArrayLibrary


@dataclass(frozen=True, slots=True)
class Features:
    """Options used by at least one row of a batch."""

    guarded: bool = False  # the loop guard
    gated: bool = False  # thoughts inside the answer
    listening: bool = False  # a gate that waits for a string

    @classmethod
    def of(cls, plans: Sequence[ThinkingPlan]) -> "Features":
        """Return the union of the options that `plans` use."""
        return cls(
            guarded=any(plan.loop_guard is not None for plan in plans),
            gated=any(plan.segments is not None for plan in plans),
            listening=any(_get_gate_mode(plan) is GateMode.AFTER for plan in plans),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows with a plan.

    `rows` (of the logits) and `slots` are int64 ``[n]``. `exits`, `entropies` and `mixes` are
    the positions, int64 ``[k]``, of the rows with an option that costs a pass over the
    vocabulary; None if there are none.
    """

    rows: Array
    slots: Array
    features: Features
    exits: Array | None
    entropies: Array | None
    mixes: Array | None

    @property
    def num_rows(self) -> int:
        """The number of rows, n."""
        return len(self.rows)


def make_batch(
    rows: Sequence[int], slots: Sequence[int], plans: Sequence[ThinkingPlan], arrays: ArrayLibrary
) -> Batch:
    """Build a batch; the three sequences have one entry per row."""

    def find_positions(wanted: list[bool]) -> Array | None:
        if not any(wanted):
            return None
        found = [index for index, want in enumerate(wanted) if want]
        return arrays.put(found, "int64")

    return Batch(
        rows=arrays.put(rows, "int64"),
        slots=arrays.put(slots, "int64"),
        features=Features.of(plans),
        exits=find_positions([plan.early_exit is not None for plan in plans]),
        entropies=find_positions([_get_gate_mode(plan) is GateMode.ENTROPY for plan in plans]),
        mixes=find_positions([plan.segments is not None and plan.segments.mixes for plan in plans]),
    )


def _get_gate_mode(plan: ThinkingPlan) -> GateMode:
    return GateMode.NEVER if plan.segments is None else plan.segments.mode
