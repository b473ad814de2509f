"""The interface of a trace store. Synchronous; called from the recorder's thread.

Only `read_page` may be called from other threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from server.traces.trace import TracePage, TraceQuery, Verdict


class TraceStoreError(Exception):
    """The store cannot be opened, or an operation failed. Quotes no text of a trace."""


class UnknownTraceError(LookupError):
    """No trace has this id: it never existed, or retention has removed it."""


class UnknownChoiceError(LookupError):
    """The trace has no choice with this index."""

    def __init__(self, num_choices: int) -> None:
        super().__init__(num_choices)
        self.num_choices = num_choices


class TooManyVerdictsError(ValueError):
    """The choice already has the maximum number of verdicts by other verifiers."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits on what is kept; the oldest traces are deleted first. None: no such limit."""

    days: float | None = None
    max_rows: int | None = None
    max_bytes: int | None = None


class TraceStore(Protocol):
    """A store of redacted traces."""

    def add(self, trace: Mapping[str, Any]) -> None:
        """Add a trace in wire form."""

    def add_verdict(self, trace_id: str, verdict: Verdict, key_id: str | None = None) -> None:
        """Add a verdict, replacing an earlier one of the same verifier.

        With `key_id`, traces of other keys are treated as unknown.

        Raises:
            UnknownTraceError: there is no such trace.
            UnknownChoiceError: the trace has no such choice.
            TooManyVerdictsError: the choice has too many verdicts already.
        """

    def delete(self, trace_id: str) -> None:
        """Delete a trace and its verdicts.

        Raises:
            UnknownTraceError: there is no such trace.
        """

    def prune(self) -> None:
        """Delete what exceeds the retention limits."""

    def read_page(self, query: TraceQuery) -> TracePage:
        """Read a page of traces; may be called from any thread."""

    def close(self) -> None:
        """Write everything and close the file."""
