"""The body of ``POST /v1/responses``.

Every field that OpenAI's clients may send is declared here: it is used, ignored if it has no
effect, ignored and named to the client if it asks for something that this server does not do, or
refused by name if the reply would be wrong without it. Does not know the thinking fields, which
``server.dialects`` reads.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from server.api.body import StrictModel
from server.api.fields.continuing import SEALED, find_unknown_includes
from server.api.fields.only_values import OnlyValues, Unsupported, to_enum_schema
from server.api.fields.priority import Priority
from server.api.fields.sampling import OpenAISamplingFields, get_requested_sampling
from server.api.fields.structured import StructuredOutputs
from server.api.openai.reply_fields import MAX_TOP_LOGPROBS
from server.api.openai.responses.items import Input
from server.api.openai.responses.parts import validation_error
from server.api.openai.responses.text_format import TextConfig
from server.api.openai.responses.tool_choice import ToolChoice, find_unused_choices, to_tool_use
from server.api.openai.responses.toolbox import Toolbox
from server.api.openai.responses.tools import Tools, find_unused_tools
from server.api.openai.thinking_progress import ProgressOption, check_progress_is_streamed
from server.constraint.answer_constraint import AnswerConstraint
from server.dialects.reading import get_thinking_properties
from server.tools.tool import ToolUse

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
INCLUDABLE = (
    ENCRYPTED_CONTENT,
    LOGPROBS,
    SEALED,
    # About items that this server never creates, so nothing is missing from the reply.
    "web_search_call.action.sources",
    "web_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
)
# Values of fields that ask for nothing that this server does not do anyway; others are ignored, and
# named to the client.
_EFFECTLESS: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "service_tier": ("auto", "default"),
        "context_management": ([],),
        "moderation": (),
        "access_programs": (),
        "image": (),
    }
)
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


class ResponseStreamOptions(ProgressOption):
    """``stream_options``."""

    include_obfuscation: bool | None = Field(
        None, description="Accepted; deltas are not padded, and true is named as ignored."
    )


class ConversationFields(StrictModel):
    """Fields of a body about a conversation."""

    model: str | None = Field(None, description="Left out: the model that this server serves.")
    input: Annotated[Input, Field(description="A text, or a list of items.")] = Field(
        default_factory=list
    )
    instructions: str | None = Field(
        None, description="A system message. Follow-up responses do not inherit it."
    )
    previous_response_id: str | None = Field(
        None, description="Id of a stored response whose conversation is continued."
    )


class ResponsesRequest(OpenAISamplingFields, ConversationFields):
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

    store: bool | None = Field(
        None, description="false: store neither the response nor a trace. Default: true."
    )
    include: list[str] | None = Field(
        None, description=f"Any of {', '.join(INCLUDABLE)}; others are ignored, and named."
    )

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
    priority: Priority = None
    background: bool | None = Field(
        None, description="Answer at once, and write the response without the client."
    )
    stream: bool | None = None
    stream_options: Annotated[
        ResponseStreamOptions | None, AfterValidator(check_progress_is_streamed)
    ] = None

    # Returned in the response.
    metadata: dict[_MetadataKey, _MetadataValue] | None = Field(None, max_length=16)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    # Ignored, as they do not affect the replies of this server.
    client_metadata: dict[str, Any] | None = None
    max_tool_calls: int | None = Field(
        None, ge=1, description="Applies to OpenAI's own tools only."
    )
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    background_options: dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="auto is accepted; a prompt that does not fit is an error all the same."
    )
    # Ignored, and named to the client if they ask for anything.
    service_tier: str | None = None
    context_management: list[Any] | None = None
    moderation: dict[str, Any] | None = None
    access_programs: dict[str, Any] | None = None
    image: dict[str, Any] | None = None

    conversation: Unsupported = None
    prompt: Unsupported = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.structured_outputs is not None and self.text and self.text.format:
            raise validation_error("text.format and structured_outputs: send one of them")
        to_tool_use(self.toolbox, self.tool_choice)
        return self

    def find_unknown_includes(self) -> Iterator[str]:
        """See :meth:`server.api.fields.thinking.ThinkingBody.find_unknown_includes`."""
        return find_unknown_includes(self.include, INCLUDABLE)

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

    @cached_property
    def toolbox(self) -> Toolbox:
        """The tools, under the names that the model sees."""
        return Toolbox(self.tools or ())

    @property
    def tool_use(self) -> ToolUse | None:
        """Use of the tools; None: the request has no tools."""
        return to_tool_use(self.toolbox, self.tool_choice, parallel=self.parallel_tool_calls)

    def find_unused(self) -> list[str]:
        """Return the paths of fields and tools that ask for something that is not done."""
        use = self.tool_use
        return [
            *find_unused_tools(self.tools or ()),
            *self.toolbox.find_unenforced_grammars(use.name if use else None),
            *find_unused_choices(self.tool_choice),
            *self._find_unused_fields(),
        ]

    def _find_unused_fields(self) -> Iterator[str]:
        for name, harmless in _EFFECTLESS.items():
            if (value := getattr(self, name)) is not None and value not in harmless:
                yield name
        if self.top_logprobs and not self.includes(LOGPROBS):
            yield "top_logprobs"
        if self.text is not None and self.text.verbosity not in (None, "medium"):
            yield "text.verbosity"
        if self.stream_options is not None and self.stream_options.include_obfuscation:
            yield "stream_options.include_obfuscation"

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling fields that were sent."""
        num_logprobs = (self.top_logprobs or 0) if self.includes(LOGPROBS) else None
        return get_requested_sampling(self, num_logprobs=num_logprobs)
