"""The receipt: what a choice was allowed to think and what it did.

A plain record; the wire form is its fields as they stand, in this order.
"""

from dataclasses import dataclass
from typing import Any

from thinking.budget import ThinkingBudget
from thinking.phase import StopCause
from thinking.tracker import ThinkingTracker


@dataclass(frozen=True, slots=True)
class BranchTally:
    """What a search has written beside the branch that was chosen; counts are tokens.

    `num_branches` counts the requests that it took, the chosen one's too.
    """

    strategy: str
    num_branches: int
    num_hidden: int
    num_injected: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """One choice's account. ``used == reasoning_tokens`` of that choice; counts are tokens."""

    requested: int | None
    source: str
    budget: int
    limited_by: str | None
    used: int
    injected: int
    segments: int
    stop: str
    seconds: float
    advice: tuple[str, ...] = ()
    search: BranchTally | None = None

    def to_dict(self) -> dict[str, Any]:
        """The wire form (``choices[i].thinking``)."""
        searched = {}
        if self.search is not None:
            searched = {"strategy": self.search.strategy, "branches": self.search.num_branches}
        return {
            "requested": self.requested,
            "source": self.source,
            "budget": self.budget,
            "limited_by": self.limited_by,
            "used": self.used,
            "injected": self.injected,
            "segments": self.segments,
            "stop": self.stop,
            "seconds": self.seconds,
            "advice": list(self.advice),
            **searched,
        }

    def to_record(self) -> dict[str, Any]:
        """The same without its advice, which is for the client: for logs and spans."""
        return {name: value for name, value in self.to_dict().items() if name != "advice"}


def make_receipt(
    budget: ThinkingBudget,
    tracker: ThinkingTracker,
    seconds: float,
    advice: tuple[str, ...] = (),
    search: BranchTally | None = None,
) -> Receipt:
    """Draw up the receipt when a choice has ended.

    `seconds` is the time in which hidden tokens came. A thought still open means that the
    reply was cut inside it. `search`: what a search wrote beside this choice.
    """
    stop = tracker.stop_cause
    if stop is StopCause.NONE and tracker.num_segments:
        stop = StopCause.MAX_TOKENS
    return Receipt(
        requested=budget.requested,
        source=budget.source,
        budget=budget.budget,
        limited_by=budget.limited_by.value if budget.limited_by else None,
        used=tracker.num_hidden + (search.num_hidden if search else 0),
        injected=tracker.num_injected + (search.num_injected if search else 0),
        segments=tracker.num_segments,
        stop=stop.value,
        seconds=round(seconds, 3),
        advice=advice,
        search=search,
    )
