"""The one thinking budget that all branches of a search share.

Tokens are reserved before an engine may write them and settled afterwards, so that no
race between branches can exceed the budget. Knows no branch and no strategy.
"""

from dataclasses import dataclass


class OverdrawnError(Exception):
    """A strategy asked for more tokens than are left: a fault of the strategy."""


@dataclass(slots=True)
class ThinkingPool:
    """Invariant: ``spent + reserved <= budget``; all are tokens."""

    budget: int
    spent: int = 0
    reserved: int = 0

    @property
    def left(self) -> int:
        """What may still be reserved."""
        return self.budget - self.spent - self.reserved

    def reserve(self, num_tokens: int) -> None:
        """Set `num_tokens` aside.

        Raises:
            OverdrawnError: more than is left.
        """
        if num_tokens > self.left:
            raise OverdrawnError(f"{num_tokens} tokens asked for, {self.left} left")
        self.reserved += num_tokens

    def settle(self, reserved: int, used: int) -> None:
        """What was reserved has been used in part, or wholly; the rest is free again."""
        self.reserved -= reserved
        self.spent += used
