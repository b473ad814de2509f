"""The receipt: how much a choice was allowed to think, and how much it did.

A plain record; on the wire its fields keep their names and order.
"""

from dataclasses import dataclass
from typing import Any

from thinking.budget import ThinkingBudget
from thinking.phase import StopCause
from thinking.tracker import ThinkingTracker
from thinking.turn import TurnShare, TurnState

_FOR_CLIENTS = ("advice", "sealed", "signature")


@dataclass(frozen=True, slots=True)
class BranchTally:
    """Totals of a search over all branches but the chosen one; counts are tokens.

    `num_branches` counts the branches that were begun, including the chosen one. If they are
    fewer than the `num_requested` (None: the strategy sets no number), or were cut short,
    `limited_by` says why.
    """

    strategy: str
    num_branches: int
    num_requested: int | None
    limited_by: str | None
    num_hidden: int
    num_injected: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Thinking record of one choice; counts are tokens.

    Invariant: ``used == reasoning_tokens`` of that choice. `budget` includes `extended`, by which
    the caller raised it while the choice was running. `signature` is that of its row in the ledger;
    None: there is none.
    """

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
    turn: TurnState | None = None
    signature: str | None = None
    # Tokens of an earlier reply's thought from which this one went on; not in `used`.
    continued: int | None = None
    # The thought, if it was cut and the client wants to go on from it later.
    sealed: str | None = None
    extended: int = 0
    # Engines that were lost while the choice was running, which went on in others.
    migrations: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form (``choices[i].thinking``)."""
        searched: dict[str, Any] = {}
        if self.search is not None:
            searched = {
                "strategy": self.search.strategy,
                "branches": self.search.num_branches,
                "branches_requested": self.search.num_requested,
                "branches_limited_by": self.search.limited_by,
            }
        extended = {"extended": self.extended} if self.extended else {}
        return {
            "requested": self.requested,
            "source": self.source,
            "budget": self.budget,
            **extended,
            "limited_by": self.limited_by,
            "used": self.used,
            "injected": self.injected,
            "segments": self.segments,
            "stop": self.stop,
            "seconds": self.seconds,
            "advice": list(self.advice),
            **searched,
            **({} if self.turn is None else {"turn": self.turn.to_dict()}),
            **({} if self.continued is None else {"continued": self.continued}),
            **({} if self.sealed is None else {"sealed": self.sealed}),
            **({"migrations": self.migrations} if self.migrations else {}),
            **({} if self.signature is None else {"signature": self.signature}),
        }

    def to_record(self) -> dict[str, Any]:
        """Return the form for logs and spans: without what is for the client only."""
        return {name: value for name, value in self.to_dict().items() if name not in _FOR_CLIENTS}


def make_receipt(
    budget: ThinkingBudget,
    tracker: ThinkingTracker,
    seconds: float,
    advice: tuple[str, ...] = (),
    search: BranchTally | None = None,
    turn: TurnShare | None = None,
    extended: int = 0,
    migrations: int = 0,
) -> Receipt:
    """Create the receipt of a choice that has ended.

    `seconds` is the time during which hidden tokens were generated. A thought that is still
    open means that the reply was cut inside it. `search` holds what a search generated in
    addition to this choice. The choice is charged to `turn`. `extended` was added to `budget` since
    it was resolved. `migrations` counts the engines that it has lost.
    """
    stop = tracker.stop_cause
    if stop is StopCause.NONE and tracker.num_segments:
        stop = StopCause.MAX_TOKENS
    used = tracker.num_hidden + (search.num_hidden if search else 0)
    return Receipt(
        requested=budget.requested,
        source=budget.source,
        budget=budget.budget + extended,
        limited_by=budget.limited_by.value if budget.limited_by else None,
        used=used,
        injected=tracker.num_injected + (search.num_injected if search else 0),
        segments=tracker.num_segments,
        stop=stop.value,
        seconds=round(seconds, 3),
        advice=advice,
        search=search,
        turn=turn.charge(reasoning=used, answer=tracker.num_answer) if turn else None,
        extended=extended,
        migrations=migrations,
    )
