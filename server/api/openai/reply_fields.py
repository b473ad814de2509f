"""Fields that the bodies of chat and text completions share.

They set thinking, sampling, the answer's format and streaming. Does not know the model: what
depends on it is checked in ``server.reply``.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.fields.sampling import OpenAISamplingFields
from server.api.fields.structured import ResponseFormat, StructuredOutputs, to_answer_constraint
from server.api.openai.thinking_progress import (
    ProgressOption,
    asks_for_progress,
    check_progress_is_streamed,
)
from server.api.openai.vllm_fields import VllmFields
from server.constraint.answer_constraint import AnswerConstraint

MAX_CHOICES = 16
MAX_TOP_LOGPROBS = 20


class StreamOptions(ProgressOption):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = Field(None, description="Accepted; no chunk is padded.")


class ReplyFields(OpenAISamplingFields, VllmFields):
    """Body with the fields that chat and text completions share."""

    model: str | None = Field(None, description="Left out: the model that this server serves.")

    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    response_format: ResponseFormat | None = Field(
        None, description="Format of the answer; the thought is not constrained."
    )
    structured_outputs: StructuredOutputs | None = Field(
        None,
        description="As response_format, in vLLM's spelling and with more kinds of constraint. "
        "Send one of the two.",
    )
    stream: bool | None = None
    stream_options: Annotated[StreamOptions | None, AfterValidator(check_progress_is_streamed)] = (
        None
    )

    # Ignored, as they do not affect the replies of this server.
    user: str | None = None

    @model_validator(mode="after")
    def _check_reply_fields(self) -> Self:
        if self.response_format is not None and self.structured_outputs is not None:
            raise contradiction_error("response_format and structured_outputs: send one of them")
        return self

    @property
    def constraint(self) -> AnswerConstraint | None:
        """Constraint on the answer; None: any text."""
        return to_answer_constraint(self.response_format, self.structured_outputs)

    @property
    def includes_usage(self) -> bool:
        """True if a stream ends with a chunk that has the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def reports_progress(self) -> bool:
        """True if a stream says how far thoughts are."""
        return asks_for_progress(self.stream_options)

    @property
    def unused_stream_options(self) -> list[str]:
        """Paths of options that ask for something that is not done."""
        if self.stream_options is None:
            return []
        if not self.stream:
            return ["stream_options"]
        obfuscates = bool(self.stream_options.include_obfuscation)
        return ["stream_options.include_obfuscation"] if obfuscates else []


def contradiction_error(message: str) -> PydanticCustomError:
    """Return the error for fields that contradict each other."""
    return PydanticCustomError("contradiction", "{text}", {"text": message})
