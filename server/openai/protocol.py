"""The body of ``POST /v1/chat/completions``.

Every field that OpenAI's clients may send is here: used, ignored where ignoring it is
truthful, or refused by name where it would change the reply. What needs the model (its
vocabulary, its context) is checked later, where the model is known.
"""

from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from server.body import StrictModel
from server.fields.only_values import OnlyValues, Unsupported, only_schema
from server.fields.structured import ResponseFormat, StructuredOutputs
from server.fields.thinking_options import ThinkingOptions
from server.openai.messages import Message, check_tool_results
from server.openai.tools import NamedChoice, ToolChoice, Tools, check_choice, tool_use
from server.reply.sampling import SamplingAsk
from server.tools.tool import ToolMode, ToolUse

MAX_CHOICES = 16
MAX_STOP_STRINGS = 16
MAX_SEED = 2**63 - 1
MAX_TOP_LOGPROBS = 20


class StreamOptions(StrictModel):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool | None, OnlyValues(False), only_schema(False)] = None


class ChatCompletionRequest(StrictModel):
    """What to answer and how to sample. How much may be thought: see ``server.dialects``."""

    model: str
    messages: list[Message] = Field(min_length=1)

    thinking_options: ThinkingOptions | None = None
    min_thinking_tokens: Annotated[
        int | None, Field(ge=0, description="Fewest hidden tokens: a thought is held open.")
    ] = None

    max_completion_tokens: int | None = Field(None, ge=1, description="Thought and answer.")
    max_tokens: int | None = Field(None, ge=1, description="Same as max_completion_tokens.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0, -1 or null: all tokens.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=500)]] | None,
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(
            max_length=MAX_STOP_STRINGS,
            description=f"A string or up to {MAX_STOP_STRINGS}; they see the answer only.",
        ),
    ] = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = Field(None, description="Of the answer's tokens.")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: ResponseFormat | None = Field(
        None, description="What the answer must look like; the thought is free."
    )
    structured_outputs: StructuredOutputs | None = Field(
        None, description="The same with more kinds, in vLLM's spelling; send one of the two."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="For the model's chat template, where it reads them."
    )
    tools: Tools | None = Field(None, description="Functions that the model may call.")
    tool_choice: ToolChoice | None = Field(None, description="Default: auto with tools, else none.")
    parallel_tool_calls: bool | None = Field(None, description="false: at most one call.")
    store: bool | None = Field(
        None, description="false: keep no trace of this request, where the server keeps any."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    # True to ignore: they change no reply of this server.
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: Annotated[
        str | None, OnlyValues("auto", "default"), only_schema("auto", "default")
    ] = None
    verbosity: Annotated[str | None, OnlyValues("medium"), only_schema("medium")] = None
    functions: Annotated[Any, OnlyValues([], why="send tools"), only_schema([])] = None
    function_call: Annotated[
        Any, OnlyValues("none", "auto", why="send tool_choice"), only_schema("none", "auto")
    ] = None
    modalities: Annotated[Any, OnlyValues(["text"]), only_schema(["text"])] = None
    audio: Unsupported = None
    prediction: Unsupported = None
    web_search_options: Unsupported = None
    prompt_cache_retention: Unsupported = None

    @field_validator("messages")
    @classmethod
    def _results_have_calls(cls, messages: list[Message]) -> list[Message]:
        check_tool_results(messages)
        return messages

    @field_validator("tool_choice")
    @classmethod
    def _is_among_tools(cls, choice: Any, info: ValidationInfo) -> Any:
        if "tools" in info.data:  # otherwise they are at fault themselves
            check_choice(choice, info.data["tools"] or ())
        return choice

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (
            self.max_tokens is not None
            and self.max_completion_tokens is not None
            and self.max_tokens != self.max_completion_tokens
        ):
            raise _contradiction("max_tokens and max_completion_tokens differ; send one of them")
        if self.top_logprobs is not None and not self.logprobs:
            raise _contradiction("top_logprobs needs logprobs: true")
        if self.response_format is not None and self.structured_outputs is not None:
            raise _contradiction("response_format and structured_outputs: send one of them")
        if fault := self._calls_against_form():
            raise _contradiction(fault)
        if self.stream_options is not None and not self.stream:
            raise _contradiction("stream_options needs stream: true")
        return self

    def _calls_against_form(self) -> str | None:
        """Why the answer cannot both call tools and have its form."""
        use = self.tool_use
        if use is None or use.mode is ToolMode.NONE:
            return None
        has_format = self.response_format is not None and self.response_format.type != "text"
        if use.mode is not ToolMode.AUTO and (has_format or self.structured_outputs is not None):
            form = "response_format" if has_format else "structured_outputs"
            return f"{form} and a tool_choice that demands a call: send one of them"
        if has_format:
            return (
                "response_format would keep the answer from calling tools: send "
                'tool_choice "none" with it, or leave it out'
            )
        return None

    @property
    def tool_use(self) -> ToolUse | None:
        """The tools; None: the request has none."""
        return tool_use(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def names_tool(self) -> bool:
        """Whether one function is demanded by its name."""
        return isinstance(self.tool_choice, NamedChoice)

    @property
    def sampling(self) -> SamplingAsk:
        """How the reply is sampled."""
        return SamplingAsk(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias=self.logit_bias,
            num_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )

    @property
    def reply_limit(self) -> int | None:
        """``max_completion_tokens`` under either name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def _contradiction(message: str) -> PydanticCustomError:
    return PydanticCustomError("contradiction", "{text}", {"text": message})
