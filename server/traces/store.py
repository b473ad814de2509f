"""What a trace store can do. Synchronous; called from the recorder's thread.

Only `page` may be called from other threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from server.traces.trace import TracePage, TraceQuery, Verdict


class TraceStoreError(Exception):
    """The store cannot be opened, or an operation on it failed. Quotes no text of a trace."""


class UnknownTraceError(LookupError):
    """No trace has this id: it never had, or retention has taken it."""


class UnknownChoiceError(LookupError):
    """The trace has no choice of this number."""

    def __init__(self, num_choices: int) -> None:
        super().__init__(num_choices)
        self.num_choices = num_choices


class TooManyVerdictsError(ValueError):
    """Other verifiers have said enough about this choice."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept at most; the oldest traces go first. None: no such limit."""

    days: float | None = None
    max_rows: int | None = None
    max_bytes: int | None = None


class TraceStore(Protocol):
    """Keeps traces that have been redacted already."""

    def add(self, trace: Mapping[str, Any]) -> None:
        """Keep a trace in wire form."""

    def add_verdict(self, trace_id: str, verdict: Verdict, key_id: str | None = None) -> None:
        """Add a verdict, in place of an earlier one of the same verifier.

        With `key_id` only to a trace of that key: others are unknown.

        Raises:
            UnknownTraceError, UnknownChoiceError, TooManyVerdictsError: it has no place.
        """

    def delete(self, trace_id: str) -> None:
        """Forget a trace and its verdicts.

        Raises:
            UnknownTraceError: there is none.
        """

    def prune(self) -> None:
        """Forget what retention does not allow."""

    def page(self, query: TraceQuery) -> TracePage:
        """Read traces; from any thread."""

    def close(self) -> None:
        """Write all there is and let go of the file."""
