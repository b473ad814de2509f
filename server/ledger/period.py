"""Months of UTC, in which bills are summed."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A time from `since` on and before `until`."""

    since: datetime
    until: datetime


ALL_TIME = Period(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


def parse_month(text: str) -> Period:
    """Return the month that `text` names, such as "2026-11".

    Raises:
        ValueError: it is not a month.
    """
    try:
        since = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} should be a month, such as 2026-11") from None
    year, month = divmod(since.month, 12)
    return Period(since, since.replace(year=since.year + year, month=month + 1))
