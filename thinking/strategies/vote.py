"""Reduces an answer to a key, so that equal answers can be counted.

Takes plain text and returns a short key. Never runs a caller's pattern: a regular expression
can block a server forever.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum

# At most 40 digits: nobody compares longer numbers.
_NUMBER = re.compile(r"-?\d{1,40}(?:,\d{3})*(?:\.\d{1,40})?")
_SPACE = re.compile(r"\s+")


class Extract(Enum):
    """Part of an answer that is used as its key."""

    NUMBER = "number"  # its last number; without one, its text
    TEXT = "text"  # all of it, case and white space aside
    LAST_LINE = "last_line"  # its last line, case and white space aside


def extract_vote(answer: str, extract: Extract) -> str:
    """Return the key under which `answer` is counted; "" if there is no such text."""
    return _KEYS[extract](answer)


def _extract_number(answer: str) -> str:
    found = _NUMBER.findall(answer)
    if not found:
        return _extract_text(answer)
    digits: str = found[-1].replace(",", "")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _extract_text(answer: str) -> str:
    return _SPACE.sub(" ", answer).strip().casefold().rstrip(".")


def _extract_last_line(answer: str) -> str:
    lines = [line for line in answer.splitlines() if line.strip()]
    return _extract_text(lines[-1]) if lines else ""


_KEYS: Mapping[Extract, Callable[[str], str]] = {
    Extract.NUMBER: _extract_number,
    Extract.TEXT: _extract_text,
    Extract.LAST_LINE: _extract_last_line,
}
