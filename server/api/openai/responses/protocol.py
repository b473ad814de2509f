"""The body of ``POST /v1/responses``.

Every field that OpenAI's clients may send is declared here: it is used, ignored if it has no
effect, or refused by name if it would change the reply. Does not know the thinking fields, which
``server.dialects`` reads.
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
    # About items that this server never creates, so nothing is missing from the reply.
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
    """``reasoning``: how much to think, and what is shown of the thought."""

    # The fields that are not declared here, such as effort and summary, are read by
    # ``server.dialects``.
    model_config = ConfigDict(json_schema_extra=_add_dialects)

    # The model's template decides which earlier thoughts are in the prompt.
    context: Annotated[str | None, OnlyValues("auto"), to_enum_schema("auto")] = None
    mode: Annotated[str | None, OnlyValues("standard"), to_enum_schema("standard")] = None


class ResponseStreamOptions(StrictModel):
    """``stream_options``."""

    include_obfuscation: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None


class ResponsesRequest(SamplingFields):
    """Body of ``/v1/responses``."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "messages": "use 'input'",
            "max_tokens": "use 'max_output_tokens'",
            "max_completion_tokens": "use 'max_output_tokens'",
            "response_format": "use 'text.format'",
            "logprobs": f"use include: [{LOGPROBS!r}]",
            "n": "this endpoint returns one reply per request",
        }
    )

    model: str
    input: Annotated[Input, Field(description="A text, or a list of items.")] = Field(
        default_factory=list
    )
    instructions: str | None = Field(
        None, description="A system message. Follow-up responses do not inherit it."
    )
    previous_response_id: str | None = Field(
        None, description="Id of a stored response whose conversation is continued."
    )
    store: bool | None = Field(
        None, description="false: store neither the response nor a trace. Default: true."
    )
    include: list[_Includable] | None = None

    reasoning: ReasoningConfig | None = None
    max_output_tokens: int | None = Field(
        None, ge=1, description="Maximum number of tokens of thought and answer together."
    )
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    text: TextConfig | None = None
    structured_outputs: StructuredOutputs | None = Field(
        None,
        description="As text.format, in vLLM's spelling and with more kinds of constraint. Send "
        "one of the two.",
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Arguments of the model's chat template."
    )
    tools: Tools = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None

    # Returned in the response.
    metadata: dict[_MetadataKey, _MetadataValue] | None = Field(None, max_length=16)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    # Ignored, as they do not affect the replies of this server.
    max_tool_calls: int | None = Field(
        None, ge=1, description="Applies to OpenAI's own tools only."
    )
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    service_tier: Annotated[
        str | None, OnlyValues("auto", "default"), to_enum_schema("auto", "default")
    ] = None
    truncation: Annotated[
        str | None,
        OnlyValues("disabled", why="is not supported: prompts are never truncated"),
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
        """Return whether `include` has `name`."""
        return name in (self.include or ())

    @property
    def stores(self) -> bool:
        """True if the response is to be stored, as is OpenAI's default."""
        return self.store is not False

    @property
    def constraint(self) -> AnswerConstraint | None:
        """Constraint on the answer; None: any text."""
        if self.structured_outputs is not None:
            return self.structured_outputs.constraint
        return self.text.format.constraint if self.text and self.text.format else None

    @property
    def tool_use(self) -> ToolUse | None:
        """Use of the tools; None: the request has no tools."""
        return to_tool_use(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling fields that were sent."""
        num_logprobs = (self.top_logprobs or 0) if self.includes(LOGPROBS) else None
        return get_requested_sampling(self, num_logprobs=num_logprobs)
