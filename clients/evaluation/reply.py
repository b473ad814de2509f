"""Result of one job: a reply, or the reason why there is none.

Replies are stored unchanged and scored when a report is made, so that a corrected answer or
rule needs no new request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from clients.evaluation.request_settings import Job

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class Reply(BaseModel):
    """Reply to one request.

    Counts are tokens, None if the server does not report them; `stop` and `limited_by` come from
    the receipt. `seconds` is the whole waiting time, retries included.
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
    """Request without a reply. `is_final`: every other request would fail the same way."""

    reason: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Job with its result."""

    job: Job
    result: Reply | Failure


class EmptyReplyError(ValueError):
    """A reply without a choice."""


def read_completion(completion: "ChatCompletion", seconds: float, retries: int) -> Reply:
    """Return the first choice of `completion`, whichever server wrote it.

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
        stop=_get_text(receipt, "stop"),
        limited_by=_get_text(receipt, "limited_by"),
        retries=retries,
    )


def _get_text(receipt: Any, name: str) -> str | None:
    value = receipt.get(name) if isinstance(receipt, Mapping) else None
    return value if isinstance(value, str) else None
