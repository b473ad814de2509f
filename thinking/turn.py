"""The part that one request has in the budget of a turn, over all of its choices.

A turn is a budget that several requests share. Knows neither the other requests nor where their
sum is kept: whoever reserved tokens for the request says how the turn stood then.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TurnState:
    """State of a turn, in tokens (``receipt.turn``). `remaining` may still be reserved."""

    budget: int
    used: int
    remaining: int

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"budget": self.budget, "used": self.used, "remaining": self.remaining}


@dataclass(slots=True)
class TurnShare:
    """Use that a request makes of the budget of its turn.

    `used_elsewhere` is what earlier requests had used when this one reserved its part, and
    `reserved_elsewhere` what others held then. `num_open` are the request's choices that have not
    ended, `cost` is what the others have used. With `counts_answers`, that is all of their tokens,
    not only the hidden ones.
    """

    budget: int
    used_elsewhere: int
    reserved_elsewhere: int
    num_open: int
    counts_answers: bool = False
    cost: int = 0

    def charge(self, *, reasoning: int, answer: int) -> TurnState:
        """Count the tokens of a choice that has ended, and return the state of the turn then."""
        self.num_open -= 1
        self.cost += reasoning + answer if self.counts_answers else reasoning
        used = self.used_elsewhere + self.cost
        return TurnState(self.budget, used, max(0, self.budget - used - self.reserved_elsewhere))
