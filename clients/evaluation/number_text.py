"""Numbers as people and models write them: 1,234.5 or -3 or $1,000.

Knows digits, one decimal point and thousands separators; no fractions, no words.
"""

import re
from decimal import Decimal

# Thousands: commas and the spaces that typesetters use, never a plain space.
_SEPARATORS = ",\u00a0\u202f"
_DIGITS = rf"(?:\d{{1,3}}(?:[{_SEPARATORS}]\d{{3}})+(?!\d)|\d+)"
# A minus belongs to the number only where no operand stands before it: not in "5-3".
_NUMBER = re.compile(
    rf"(?:(?<![\w)\]])[-+\u2212])?(?:{_DIGITS}(?:\.\d+)?|(?<!\d)\.\d+)(?:[eE][-+]?\d{{1,3}}(?!\w))?"
)
_AROUND = " \t\n$€£%"


def last_number(text: str) -> Decimal | None:
    """The last number in `text`; None where there is none."""
    found: str | None = None
    for match in _NUMBER.finditer(text):
        found = match.group()
    return None if found is None else _decimal(found)


def whole_number(text: str) -> Decimal | None:
    """`text` as a number, where it is nothing else: a currency or percent sign may be about."""
    bare = text.strip(_AROUND)
    return _decimal(bare) if _NUMBER.fullmatch(bare) else None


def _decimal(text: str) -> Decimal:
    for separator in _SEPARATORS:
        text = text.replace(separator, "")
    return Decimal(text.replace("\u2212", "-"))
