"""Numbers as people and models write them: 1,234.5 or -3 or $1,000.

Knows digits, one decimal point and thousands separators; no fractions, no words.
"""

import re
from decimal import Decimal

# Thousands: commas and the spaces that typesetters use, never a plain space.
_SEPARATORS = ",\u00a0\u202f"
_DIGITS = rf"(?:\d{{1,3}}(?:[{_SEPARATORS}]\d{{3}})+(?!\d)|\d+)"
# A minus belongs to the number only if no operand precedes it: not in "5-3".
_NUMBER = re.compile(
    rf"(?:(?<![\w)\]])[-+\u2212])?(?:{_DIGITS}(?:\.\d+)?|(?<!\d)\.\d+)(?:[eE][-+]?\d{{1,3}}(?!\w))?"
)
_AROUND = " \t\n$€£%"


def find_last_number(text: str) -> Decimal | None:
    """Return the last number in `text`, or None."""
    found: str | None = None
    for match in _NUMBER.finditer(text):
        found = match.group()
    return None if found is None else _to_decimal(found)


def parse_whole_text(text: str) -> Decimal | None:
    """Return all of `text` as a number, or None; a currency or percent sign may surround it."""
    bare = text.strip(_AROUND)
    return _to_decimal(bare) if _NUMBER.fullmatch(bare) else None


def _to_decimal(text: str) -> Decimal:
    for separator in _SEPARATORS:
        text = text.replace(separator, "")
    return Decimal(text.replace("\u2212", "-"))
