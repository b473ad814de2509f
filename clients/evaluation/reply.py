"""What came back for one job: a reply, or why there is none.

Replies are kept as they came; whether one is right is asked when a report is made, so that
a corrected answer or rule needs no new request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from clients.evaluation.request_settings import Job

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class Reply(BaseModel):
    """Counts are tokens, None where the server does not tell; `stop` and `limited_by` are
    the receipt's. `seconds` is the whole wait, retries included.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    seconds: float
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    stop: str | None = None
    limited_by: str | None = None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """`is_final`: every other request would fail the same way."""

    reason: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job and what came of it."""

    job: Job
    result: Reply | Failure


class EmptyReplyError(ValueError):
    """A reply without a choice."""


def read_completion(completion: "ChatCompletion", seconds: float, retries: int) -> Reply:
    """The first choice of `completion`, whichever server wrote it.

    Raises:
        EmptyReplyError: it has none.
    """
    if not completion.choices:
        raise EmptyReplyError("the reply has no choice; is --url an OpenAI-compatible API?")
    choice, usage = completion.choices[0], completion.usage
    details = usage.completion_tokens_details if usage else None
    receipt = (choice.model_extra or {}).get("thinking")
    return Reply(
        text=choice.message.content or "",
        seconds=seconds,
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        reasoning_tokens=details.reasoning_tokens if details else None,
        stop=_text(receipt, "stop"),
        limited_by=_text(receipt, "limited_by"),
        retries=retries,
    )


def _text(receipt: Any, name: str) -> str | None:
    value = receipt.get(name) if isinstance(receipt, Mapping) else None
    return value if isinstance(value, str) else None
