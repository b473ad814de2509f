"""What the bodies of chat and text completions have in common.

Thinking, sampling, what the answer looks like, streaming. What needs the model is checked
later, where the model is known.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema
from server.api.fields.sampling import SamplingFields
from server.api.fields.structured import ResponseFormat, StructuredOutputs, to_answer_constraint
from server.api.openai.vllm_fields import VllmFields
from server.constraint.answer_constraint import AnswerConstraint

MAX_CHOICES = 16
MAX_TOP_LOGPROBS = 20


class StreamOptions(StrictModel):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None


class ReplyFields(SamplingFields, VllmFields):
    """How to think, to sample and to send."""

    model: str

    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    response_format: ResponseFormat | None = Field(
        None, description="What the answer must look like; the thought is free."
    )
    structured_outputs: StructuredOutputs | None = Field(
        None, description="The same with more kinds, in vLLM's spelling; send one of the two."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    # True to ignore: they change no reply of this server.
    user: str | None = None

    @model_validator(mode="after")
    def _check_reply_fields(self) -> Self:
        if self.response_format is not None and self.structured_outputs is not None:
            raise contradiction_error("response_format and structured_outputs: send one of them")
        if self.stream_options is not None and not self.stream:
            raise contradiction_error("stream_options needs stream: true")
        return self

    @property
    def constraint(self) -> AnswerConstraint | None:
        """What holds for the answer."""
        return to_answer_constraint(self.response_format, self.structured_outputs)

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def contradiction_error(message: str) -> PydanticCustomError:
    """Two fields that disagree."""
    return PydanticCustomError("contradiction", "{text}", {"text": message})
