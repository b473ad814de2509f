"""Taking out of a trace what the operator does not want written down.

Works on texts, before they become JSON, so that no escape hides a match. Does not know
which field a text is of.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server.settings.redaction_pattern import redaction_pattern

_KEPT = ("id", "key")
REPLACEMENT = "[redacted]"


class Redactor:
    """Replaces all that matches one of the operator's patterns, one pattern after the other."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [redaction_pattern(pattern) for pattern in patterns]

    def text(self, text: str) -> str:
        """`text` without what matches."""
        for pattern in self._patterns:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def tree(self, value: Any) -> Any:
        """A copy of a JSON-like value, with all its texts (but not the keys) redacted."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {key: self.tree(item) for key, item in value.items()}
            case list() | tuple():
                return [self.tree(item) for item in value]
        return value

    def trace(self, trace: Mapping[str, Any]) -> dict[str, Any]:
        """A trace's wire form, redacted; what feedback must find stays: its id and whose it is."""
        return {**self.tree(trace), **{name: trace[name] for name in _KEPT if name in trace}}
