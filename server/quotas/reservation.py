"""What a request has reserved of its quotas, and what is left to change when it has ended.

Sums only: nothing is counted here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from server.account.account import TokenUse
from server.admission.demand import Demand
from server.quotas.counters import Change, Counters
from server.quotas.kinds import QuotaWindow

Costs = Mapping[str, int]  # by the unit of a quota


def costs_of(demand: Demand) -> Costs:
    """The most that a request may use."""
    return {
        "requests": 1,
        "tokens": demand.total_tokens,
        "reasoning_tokens": demand.reasoning_tokens,
    }


def costs_of_use(used: TokenUse) -> Costs:
    """What a request has used."""
    return {"requests": 1, "tokens": used.total, "reasoning_tokens": used.reasoning}


@dataclass(frozen=True, slots=True)
class Reservation:
    """Taken from `counters`, in these windows."""

    counters: Counters
    windows: Sequence[QuotaWindow]
    reserved: Costs

    def to_settle(self, used: Costs, now: float) -> Iterator[tuple[QuotaWindow, Change]]:
        """What is to be given back or charged, where it differs from what was reserved.

        A window that has passed is given nothing back, nor is the next one in its place; what
        was used beyond the reservation is charged to the window of now.
        """
        for window in self.windows:
            amount = used[window.kind.unit] - self.reserved[window.kind.unit]
            current = window.at(now)
            if amount > 0 or (amount < 0 and current == window):
                yield current, change_of(current, amount, now)


def change_of(window: QuotaWindow, amount: int, now: float, *, has_limit: bool = False) -> Change:
    """A change of a window's counter, which lives one window longer than it is needed.

    So servers whose clocks differ a little still find it.
    """
    lives = int(window.ends_at - now) + 1 + window.kind.seconds
    return Change(window.counter, amount, lives, window.limit if has_limit else None)
