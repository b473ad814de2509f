"""Requests about traces: the body of feedback, and the query of a page. Reads no store."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.openai.reply_fields import MAX_CHOICES
from server.errors.api import BadRequestError
from server.traces.trace import TraceQuery, Verdict

MAX_LIMIT = 1000
_PARAMETERS = ("after", "since", "verdict", "limit")


class FeedbackRequest(StrictModel):
    """Body of ``POST /v1/thinking/feedback``."""

    id: Annotated[str, Field(min_length=1, max_length=200, description="Id of the completion.")]
    verdict: Literal["good", "bad"] | None = None
    score: Annotated[
        float | None, Field(ge=0, le=1, description="Score, instead of verdict; good from 0.5 up.")
    ] = None
    choice: Annotated[int, Field(ge=0, lt=MAX_CHOICES, description="Index of the choice.")] = 0
    verifier: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            description="Name of the verifier. A new verdict replaces its earlier one.",
        ),
    ] = None
    note: Annotated[str | None, Field(max_length=2000)] = None

    @model_validator(mode="after")
    def _check_one_judgement(self) -> Self:
        if (self.verdict is None) == (self.score is None):
            text = "send either verdict (good or bad) or score (0 to 1)"
            raise PydanticCustomError("judgement", "{text}", {"text": text})
        return self

    def to_verdict(self) -> Verdict:
        """Return the verdict as it is stored."""
        score = self.score if self.score is not None else float(self.verdict == "good")
        return Verdict(self.choice, score, self.verifier or "", self.note)


def to_trace_query(parameters: Mapping[str, str]) -> TraceQuery:
    """Return the query that the URL's parameters describe.

    Raises:
        BadRequestError: a parameter is unknown or out of range.
    """
    if unknown := sorted(parameters.keys() - set(_PARAMETERS)):
        known = ", ".join(_PARAMETERS)
        raise _parameter_error(
            unknown[0], f"is unknown; the parameters are {known}", code="unknown_field"
        )
    verdict = parameters.get("verdict")
    if verdict not in (None, "good", "bad", "none"):
        raise _parameter_error("verdict", "should be good, bad or none")
    since = parameters.get("since")
    return TraceQuery(
        after=_parse_integer(parameters, "after", 0, 0, 2**53),
        since=None if since is None else _parse_time(since),
        verdict=verdict,  # type: ignore[arg-type]  # checked above
        limit=_parse_integer(parameters, "limit", 100, 1, MAX_LIMIT),
    )


def _parse_integer(
    parameters: Mapping[str, str], name: str, default: int, lowest: int, highest: int
) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdecimal() and len(text) < 20
    if not (is_number and lowest <= int(text) <= highest):
        raise _parameter_error(name, f"should be a whole number from {lowest} to {highest}")
    return int(text)


def _parse_time(text: str) -> float:
    """Parse a Unix time in seconds or an ISO 8601 date and time (UTC if it has no time zone)."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = math.nan
    if not math.isfinite(seconds):
        raise _parameter_error(
            "since", "should be a Unix time in seconds, or a time like 2026-01-31T12:00:00Z"
        )
    return seconds


def _parameter_error(name: str, reason: str, code: str = "invalid_value") -> BadRequestError:
    return BadRequestError(f"{name}: {reason}", param=name, code=code)
