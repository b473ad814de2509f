"""The thinking budget that all branches of a search share.

Tokens are reserved before an engine may generate them and settled afterwards, so that no race
between branches can exceed the budget. Knows neither branches nor strategies.
"""

from dataclasses import dataclass


class OverdrawnError(Exception):
    """A strategy reserved more tokens than are left, which is a bug of the strategy."""


@dataclass(slots=True)
class ThinkingPool:
    """Budget of a search, and what its branches have taken of it; all counts are tokens.

    Invariant: ``spent + reserved <= budget``.
    """

    budget: int
    spent: int = 0
    reserved: int = 0
    is_closed: bool = False  # no more may be reserved

    @property
    def left(self) -> int:
        """Number of tokens that may still be reserved."""
        return 0 if self.is_closed else self.unspent

    @property
    def unspent(self) -> int:
        """Number of tokens that are neither spent nor reserved."""
        return self.budget - self.spent - self.reserved

    def reserve(self, num_tokens: int) -> None:
        """Reserve `num_tokens`.

        Raises:
            OverdrawnError: fewer tokens are left.
        """
        if num_tokens > self.left:
            raise OverdrawnError(f"{num_tokens} tokens requested, {self.left} left")
        self.reserved += num_tokens

    def settle(self, reserved: int, used: int) -> None:
        """Release `reserved` tokens, of which `used` are spent and the rest is free again."""
        self.reserved -= reserved
        self.spent += used
