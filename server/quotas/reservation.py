"""A request's reservation of its quotas, and the adjustments due when it has ended.

Arithmetic only: changes no counter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from server.account.account import TokenUse
from server.admission.demand import Demand
from server.quotas.counters import Change, Counters
from server.quotas.kinds import QuotaWindow

Costs = Mapping[str, int]  # by the unit of a quota


def to_reserved_costs(demand: Demand) -> Costs:
    """Return the most that a request may use, by unit."""
    return {
        "requests": 1,
        "tokens": demand.total_tokens,
        "reasoning_tokens": demand.reasoning_tokens,
    }


def to_more_costs(num_tokens: int) -> Costs:
    """Return the cost, by unit, of more tokens of thought of a request that is running."""
    return {"requests": 0, "tokens": num_tokens, "reasoning_tokens": num_tokens}


def to_used_costs(used: TokenUse, num_elsewhere: int = 0) -> Costs:
    """Return the amounts that a request has used, by unit.

    `num_elsewhere` of its tokens of thought are settled with another reservation.
    """
    return {
        "requests": 1,
        "tokens": used.total - num_elsewhere,
        "reasoning_tokens": used.reasoning - num_elsewhere,
    }


@dataclass(frozen=True, slots=True)
class Reservation:
    """Amounts reserved from `counters`, in these windows."""

    counters: Counters
    windows: Sequence[QuotaWindow]
    reserved: Costs

    def compute_adjustments(self, used: Costs, now: float) -> Iterator[tuple[QuotaWindow, Change]]:
        """Yield the changes to return or charge where the use differs from the reservation.

        Nothing is returned to a window that has ended, nor to the next one in its place; use
        beyond the reservation is charged to the current window.
        """
        for window in self.windows:
            amount = used[window.kind.unit] - self.reserved[window.kind.unit]
            current = window.shift_to(now)
            if amount > 0 or (amount < 0 and current == window):
                yield current, to_change(current, amount, now)


def to_change(window: QuotaWindow, amount: int, now: float, *, has_limit: bool = False) -> Change:
    """Return a change of a window's counter, which lives one window longer than needed.

    That way servers whose clocks differ slightly still find it.
    """
    lives = int(window.ends_at - now) + 1 + window.kind.seconds
    return Change(window.counter, amount, lives, window.limit if has_limit else None)
