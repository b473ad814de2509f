"""The body of ``POST /v1/chat/completions``.

Every field that OpenAI's clients may send is declared here: it is used, ignored if it has no
effect, ignored and named to the client if it asks for something that this server does not do, or
refused by name if the reply would be wrong without it. Does not know the thinking fields, which
``server.dialects`` reads, nor the model: what depends on its vocabulary or context is checked in
``server.reply``.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from server.api.fields.continuing import SEALED, find_unknown_includes
from server.api.fields.only_values import OnlyValues, Unsupported, to_enum_schema
from server.api.fields.sampling import get_requested_sampling
from server.api.foreign_kinds import put_below
from server.api.openai.chat.encrypted_thoughts import ENCRYPTED_CONTENT
from server.api.openai.messages import Message
from server.api.openai.reply_fields import MAX_TOP_LOGPROBS, ReplyFields, contradiction_error
from server.api.openai.tools import (
    NamedChoice,
    ToolChoice,
    Tools,
    check_choice,
    find_unused_tools,
    to_tool_use,
)
from server.api.openai.vllm_fields import accept_only
from server.api.typing_errors import find_misspelt
from server.errors.api import BadRequestError
from server.prompt.messages import MAX_MESSAGES
from server.tools.tool import ToolUse

_TEMPLATE = "is not supported: the model's own template is used; see chat_template_kwargs"

# Values of fields that ask for nothing that this server does not do anyway; others are ignored, and
# named to the client.
_EFFECTLESS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "service_tier": ("auto", "default"),
        "verbosity": ("medium",),
        "prediction": (),
        "moderation": (),
        "web_search_options": (),
    }
)


# As LM Studio and llama.cpp have it.
_NO_LIMIT = -1
ReplyLimit = Annotated[
    Annotated[int, Field(ge=1)] | None,
    BeforeValidator(
        lambda value: None if type(value) is int and value == _NO_LIMIT else value,
        json_schema_input_type=Annotated[int, Field(ge=_NO_LIMIT)] | None,
    ),
]


class ChatCompletionRequest(ReplyFields):
    """Body of ``/v1/chat/completions``."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)

    max_completion_tokens: ReplyLimit = Field(
        None, description="Maximum number of tokens of thought and answer together; -1: no limit."
    )
    max_tokens: ReplyLimit = Field(None, description="Same as max_completion_tokens.")
    logprobs: bool | None = Field(
        None, description="Return the log-probabilities of the answer's tokens."
    )
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Arguments of the model's chat template."
    )
    tools: Tools | None = Field(None, description="Functions that the model may call.")
    tool_choice: ToolChoice | None = Field(
        None, description="Default: auto if there are tools, else none."
    )
    parallel_tool_calls: bool | None = Field(None, description="false: at most one tool call.")
    continue_final_message: bool | None = Field(
        None, description="Continue the last message, which must be the assistant's."
    )
    include: list[str] | None = Field(
        None,
        description=f"{ENCRYPTED_CONTENT}: the message has each thought sealed, in "
        f"`reasoning_details`, to be sent back with the history. {SEALED}: the receipt has a "
        "thought that was cut, sealed. Others are ignored, and named.",
    )
    store: bool | None = Field(
        None, description="false: keep no trace of this request, if the server keeps traces."
    )
    # Ignored, as they do not affect the replies of this server.
    metadata: dict[str, Any] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    # Ignored, and named to the client if they ask for anything.
    service_tier: str | None = None
    verbosity: str | None = None
    prediction: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    functions: Annotated[Any, OnlyValues([], why="send tools"), to_enum_schema([])] = None
    function_call: Annotated[
        Any, OnlyValues("none", "auto", why="send tool_choice"), to_enum_schema("none", "auto")
    ] = None
    modalities: Annotated[Any, OnlyValues(["text"]), to_enum_schema(["text"])] = None
    audio: Unsupported = None
    # llama.cpp's: there a thought can only be ended if its request says so.
    reasoning_control: bool | None = None
    # vLLM's fields.
    add_generation_prompt: bool | None = Field(
        None, description="Must be false with continue_final_message, and true otherwise."
    )
    echo: Annotated[Any, *accept_only(False, why="is not supported in a chat")] = None
    add_special_tokens: Annotated[Any, *accept_only(False, why=_TEMPLATE)] = None
    chat_template: Annotated[Any, *accept_only(why=_TEMPLATE)] = None
    documents: Annotated[Any, *accept_only([])] = None
    media_io_kwargs: Annotated[Any, *accept_only({})] = None
    mm_processor_kwargs: Annotated[Any, *accept_only({})] = None
    return_prompt_text: Annotated[Any, *accept_only(False)] = None

    @field_validator("tool_choice")
    @classmethod
    def _check_tool_choice(cls, choice: Any, info: ValidationInfo) -> Any:
        if "tools" in info.data:  # otherwise `tools` itself is invalid
            check_choice(choice, info.data["tools"] or ())
        return choice

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (
            self.max_tokens is not None
            and self.max_completion_tokens is not None
            and self.max_tokens != self.max_completion_tokens
        ):
            raise contradiction_error(
                "max_tokens and max_completion_tokens differ; send one of them"
            )
        if self.top_logprobs and not self.logprobs:
            raise contradiction_error("top_logprobs needs logprobs: true")
        self._check_continuation()
        return self

    def _check_continuation(self) -> None:
        continues = bool(self.continue_final_message)
        if continues and self.messages[-1].role != "assistant":
            raise contradiction_error(
                "continue_final_message needs a last message of role 'assistant'"
            )
        if self.add_generation_prompt is not None and self.add_generation_prompt == continues:
            raise contradiction_error(
                "add_generation_prompt: should be false with continue_final_message, else true"
            )

    @property
    def tool_use(self) -> ToolUse | None:
        """Use of the tools; None: the request has no tools."""
        return to_tool_use(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def unused_paths(self) -> list[str]:
        """Paths of what is accepted although this server does not do it."""
        fields = [
            name
            for name, values in _EFFECTLESS.items()
            if (value := getattr(self, name)) is not None and value not in values
        ]
        fields += self.unused_stream_options
        fields += find_unused_tools(self.tools or ())
        return fields + [
            put_below(f"messages[{place}]", path)
            for place, message in enumerate(self.messages)
            for path in message.find_unused()
        ]

    def find_unknown_includes(self) -> Iterator[str]:
        """See :meth:`server.api.fields.thinking.ThinkingBody.find_unknown_includes`."""
        for place, name in enumerate(self.include or ()):
            if name != ENCRYPTED_CONTENT and find_misspelt(name, [ENCRYPTED_CONTENT]):
                path = f"include[{place}]"
                message = f"{path}: should be {ENCRYPTED_CONTENT!r}"
                raise BadRequestError(message, param=path, code="invalid_value")
        return find_unknown_includes(self.include, (SEALED, ENCRYPTED_CONTENT))

    @property
    def has_named_tool(self) -> bool:
        """True if `tool_choice` names the function to call."""
        return isinstance(self.tool_choice, NamedChoice)

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling fields that were sent."""
        num_logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return get_requested_sampling(self, num_logprobs=num_logprobs)

    @property
    def reply_limit(self) -> int | None:
        """Limit of thought and answer together, under either of its names."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
