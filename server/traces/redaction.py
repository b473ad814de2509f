"""Redacts what the operator's patterns match in a trace.

Works on strings before they are encoded as JSON, so that no escape hides a match. Does not know
which field a string belongs to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server.settings.redaction_pattern import compile_redaction_pattern

_KEPT = ("id", "key")
REPLACEMENT = "[redacted]"


class Redactor:
    """Replaces every match of the operator's patterns, one pattern after the other."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [compile_redaction_pattern(pattern) for pattern in patterns]

    def redact_text(self, text: str) -> str:
        """Return `text` with all matches replaced."""
        for pattern in self._patterns:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def redact_tree(self, value: Any) -> Any:
        """Return a copy of a JSON-like value with all its strings, but not its keys, redacted."""
        match value:
            case str():
                return self.redact_text(value)
            case Mapping():
                return {key: self.redact_tree(item) for key, item in value.items()}
            case list() | tuple():
                return [self.redact_tree(item) for item in value]
        return value

    def redact_trace(self, trace: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trace's wire form, redacted except for the id and key that feedback needs."""
        return {**self.redact_tree(trace), **{name: trace[name] for name in _KEPT if name in trace}}
