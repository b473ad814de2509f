"""A trace: one answered request with its thoughts, and the verdicts given on it later.

Plain records and their wire form. Knows neither the store nor who may read traces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from server.keys.key import ANONYMOUS_ID

VerdictFilter = Literal["good", "bad", "none"]
# The lowest score that counts as the verdict "good".
GOOD_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Thought:
    """A thought; `at` is the number of answer characters before it.

    If the engine returns several tokens at once, `at` may be too small by their length.
    """

    text: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class TraceChoice:
    """A choice; `receipt` and `tool_calls` are in wire form.

    `added_by_caller` are the texts that the caller put into its thoughts while it was running; they
    are in the thoughts too.
    """

    index: int
    thoughts: tuple[Thought, ...]
    answer: str
    finish_reason: str
    receipt: Mapping[str, Any]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    added_by_caller: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        calls = {"tool_calls": [dict(call) for call in self.tool_calls]} if self.tool_calls else {}
        added = {"added_by_caller": list(self.added_by_caller)} if self.added_by_caller else {}
        return {
            "index": self.index,
            "thoughts": [asdict(thought) for thought in self.thoughts],
            **added,
            "answer": self.answer,
            **calls,
            "finish_reason": self.finish_reason,
            "thinking": dict(self.receipt),
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of a request. `trace_id` is the completion's id; `created` is Unix time, seconds.

    `markers` are the texts around a thought; `key_id` is the caller's key. Contains text of
    clients and of the model: nothing here may be written before the redactor has processed it.
    """

    trace_id: str
    created: float
    model: str
    messages: Sequence[Mapping[str, Any]]
    sampling: Mapping[str, Any]
    markers: tuple[str, str]
    choices: tuple[TraceChoice, ...]
    key_id: str = ANONYMOUS_ID

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form, without verdicts."""
        start, end = self.markers
        return {
            "id": self.trace_id,
            "key": self.key_id,
            "object": "thinking.trace",
            "created": self.created,
            "model": self.model,
            "messages": [dict(message) for message in self.messages],
            "sampling": dict(self.sampling),
            "markers": {"start": start, "end": end},
            "choices": [choice.to_dict() for choice in self.choices],
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict of `verifier` on a choice: `score` from 0 to 1. Verifier "": unnamed."""

    choice: int
    score: float
    verifier: str = ""
    note: str | None = None
    created: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        verdict = "good" if self.score >= GOOD_SCORE else "bad"
        return asdict(self) | {"verdict": verdict, "verifier": self.verifier or None}


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Filter for traces, which are returned in order of arrival, after number `after`."""

    after: int = 0
    since: float | None = None
    verdict: VerdictFilter | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces in wire form, with number (`seq`) and verdicts. `next_after` None: the last page."""

    traces: Sequence[Mapping[str, Any]]
    next_after: int | None
