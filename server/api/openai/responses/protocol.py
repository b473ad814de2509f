"""The body of ``POST /v1/responses``.

Every field that OpenAI's clients may send is here: used, ignored where ignoring it is
truthful, or refused by name where it would change the reply.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, Unsupported, to_enum_schema
from server.api.fields.sampling import SamplingFields, get_requested_sampling
from server.api.fields.structured import StructuredOutputs
from server.api.openai.reply_fields import MAX_TOP_LOGPROBS
from server.api.openai.responses.items import Input
from server.api.openai.responses.parts import validation_error
from server.api.openai.responses.text_format import TextConfig
from server.api.openai.responses.tools import ToolChoice, Tools, to_tool_use
from server.constraint.answer_constraint import AnswerConstraint
from server.dialects.reading import get_thinking_properties
from server.tools.tool import ToolUse

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_Includable = Literal[
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    # Of items that this server never makes, so nothing is left out.
    "web_search_call.action.sources",
    "web_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
]
_MetadataKey = Annotated[str, StringConstraints(max_length=64)]
_MetadataValue = Annotated[str, StringConstraints(max_length=512)]


def _add_dialects(schema: dict[str, Any]) -> None:
    schema["properties"] = (
        get_thinking_properties()["reasoning"]["properties"] | schema["properties"]
    )


class ReasoningConfig(StrictModel):
    """``reasoning``, without what :mod:`server.dialects` has read of it: effort and summary."""

    model_config = ConfigDict(json_schema_extra=_add_dialects)

    # Which earlier thoughts are in the prompt is for the model's template to say.
    context: Annotated[str | None, OnlyValues("auto"), to_enum_schema("auto")] = None
    mode: Annotated[str | None, OnlyValues("standard"), to_enum_schema("standard")] = None


class ResponseStreamOptions(StrictModel):
    """``stream_options``."""

    include_obfuscation: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None


class ResponsesRequest(SamplingFields):
    """What to answer and how to sample. How much may be thought: see ``server.dialects``."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "messages": "this endpoint calls it 'input'",
            "max_tokens": "this endpoint calls it 'max_output_tokens'",
            "max_completion_tokens": "this endpoint calls it 'max_output_tokens'",
            "response_format": "this endpoint calls it 'text.format'",
            "logprobs": f"this endpoint asks for them with include: [{LOGPROBS!r}]",
            "n": "this endpoint gives one reply a request",
        }
    )

    model: str
    input: Annotated[Input, Field(description="A text, or items.")] = Field(default_factory=list)
    instructions: str | None = Field(
        None, description="A system message; not carried over to a response that follows."
    )
    previous_response_id: str | None = Field(
        None, description="A stored response whose conversation this one goes on with."
    )
    store: bool | None = Field(
        None, description="false: keep neither the response nor a trace. Default: true."
    )
    include: list[_Includable] | None = None

    reasoning: ReasoningConfig | None = None
    max_output_tokens: int | None = Field(None, ge=1, description="Thought and answer.")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    text: TextConfig | None = None
    structured_outputs: StructuredOutputs | None = Field(
        None, description="As text.format with more kinds, in vLLM's spelling; send one of them."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="For the model's chat template, where it reads them."
    )
    tools: Tools = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None

    # Kept and given back.
    metadata: dict[_MetadataKey, _MetadataValue] | None = Field(None, max_length=16)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    # True to ignore: they change no reply of this server.
    max_tool_calls: int | None = Field(None, ge=1, description="Of OpenAI's own tools only.")
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    service_tier: Annotated[
        str | None, OnlyValues("auto", "default"), to_enum_schema("auto", "default")
    ] = None
    truncation: Annotated[
        str | None,
        OnlyValues("disabled", why="nothing is ever cut out of a prompt"),
        to_enum_schema("disabled"),
    ] = None
    background: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None
    background_options: Unsupported = None
    conversation: Unsupported = None
    prompt: Unsupported = None
    prompt_cache_options: Unsupported = None
    context_management: Annotated[Any, OnlyValues([]), to_enum_schema([])] = None
    moderation: Unsupported = None
    access_programs: Unsupported = None
    image: Unsupported = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.top_logprobs and not self.includes(LOGPROBS):
            raise validation_error(f"top_logprobs needs include: [{LOGPROBS!r}]")
        if self.stream_options is not None and not self.stream:
            raise validation_error("stream_options needs stream: true")
        if self.structured_outputs is not None and self.text and self.text.format:
            raise validation_error("text.format and structured_outputs: send one of them")
        to_tool_use(self.tools, self.tool_choice)
        return self

    def includes(self, name: str) -> bool:
        """Whether `name` was asked for besides."""
        return name in (self.include or ())

    @property
    def stores(self) -> bool:
        """Whether the response is kept; OpenAI's default."""
        return self.store is not False

    @property
    def constraint(self) -> AnswerConstraint | None:
        """What holds for the answer; None: any text."""
        if self.structured_outputs is not None:
            return self.structured_outputs.constraint
        return self.text.format.constraint if self.text and self.text.format else None

    @property
    def tool_use(self) -> ToolUse | None:
        """The tools that the model may call."""
        return to_tool_use(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling fields that were sent."""
        num_logprobs = (self.top_logprobs or 0) if self.includes(LOGPROBS) else None
        return get_requested_sampling(self, num_logprobs=num_logprobs)
