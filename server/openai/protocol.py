"""The body of ``POST /v1/chat/completions``.

Every field that OpenAI's clients may send is here: used, ignored where ignoring it is
truthful, or refused by name where it would change the reply. What needs the model (its
vocabulary, its context) is checked later, where the model is known.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from server.body import StrictModel
from server.openai.messages import Message
from server.openai.structured import ResponseFormat, StructuredOutputs
from thinking.loop_guard import MAX_PERIOD, LoopGuard

MAX_CHOICES = 16
MAX_STOP_STRINGS = 16
MAX_SEED = 2**63 - 1
MAX_TOP_LOGPROBS = 20
DEFAULT_GUARD = LoopGuard()


class OnlyValues(BeforeValidator):
    """A field of the wire that this version takes only where it changes nothing."""

    def __init__(self, *values: Any, why: str = "is not supported yet") -> None:
        shown = " or ".join(str(value) for value in values)

        def check(value: Any) -> Any:
            # `True == 1`: compare types too.
            if any(type(value) is type(known) and value == known for known in (None, *values)):
                return value
            hint = f" (only {shown} is taken)" if shown else ""
            raise PydanticCustomError("not_supported", "{text}", {"text": f"{why}{hint}"})

        super().__init__(check)


def _schema(*values: Any) -> WithJsonSchema:
    return WithJsonSchema({"enum": [None, *values]})


Unavailable = Annotated[
    None, OnlyValues(why="is not available in this version; leave it out"), _schema()
]
Unsupported = Annotated[None, OnlyValues(), _schema()]


class LoopGuardOptions(StrictModel):
    """``thinking_options.loop_guard``: when a thought repeats itself."""

    enabled: bool = True
    max_period: int = Field(DEFAULT_GUARD.max_period, ge=1, le=MAX_PERIOD)
    min_repeats: int = Field(DEFAULT_GUARD.min_repeats, ge=2, le=100)
    min_tokens: int = Field(DEFAULT_GUARD.min_tokens, ge=1, le=10_000)


class ThinkingOptions(StrictModel):
    """``thinking_options``: the rarer options of a thought."""

    answer_reserve: Annotated[
        int | None, Field(ge=1, description="Tokens kept for the answer.")
    ] = None
    grace: Annotated[
        Any,
        BeforeValidator(lambda value: _grace(value)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "number"}]}),
        Field(
            description="Last tokens (integer) or share (0.0 to 1.0) of the budget in which a "
            "thought ends at a sentence's or line's end. Default 0.1."
        ),
    ] = None
    wrap_up: Annotated[
        str | None,
        Field(max_length=2000, description="Text that ends a cut thought, paid from the budget."),
    ] = None
    continuation: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2000,
            description="Text that answers an end which comes before min_thinking_tokens. "
            'Default "\\nWait,".',
        ),
    ] = None
    gate: Unavailable = None
    max_segments: Unavailable = None
    segment_tokens: Unavailable = None
    mix: Unavailable = None
    loop_guard: Annotated[
        LoopGuardOptions | None,
        BeforeValidator(lambda value: {"enabled": value} if isinstance(value, bool) else value),
        Field(description="false: a thought may repeat itself; an object: when it does."),
    ] = None
    early_exit: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Probability of the end marker above which a thought ends at a "
            "sentence's or line's end. Off by default.",
        ),
    ] = None
    strategy: Unavailable = None


class StreamOptions(StrictModel):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool | None, OnlyValues(False), _schema(False)] = None


class ChatCompletionRequest(StrictModel):
    """What to answer, how to sample, and how much may be thought."""

    model: str
    messages: list[Message] = Field(min_length=1)

    max_thinking_tokens: Annotated[
        int | None,
        Field(ge=-1, description="Most hidden tokens; 0: none; -1 or null: the server's default."),
    ] = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    include_reasoning: bool | None = Field(None, description="Show the thought.")
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
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    # True to ignore: they change no reply of this server.
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    parallel_tool_calls: bool | None = None
    store: Annotated[bool | None, OnlyValues(False), _schema(False)] = None
    service_tier: Annotated[
        str | None, OnlyValues("auto", "default"), _schema("auto", "default")
    ] = None
    verbosity: Annotated[str | None, OnlyValues("medium"), _schema("medium")] = None
    tool_choice: Annotated[Any, OnlyValues("none", "auto"), _schema("none", "auto")] = None
    tools: Annotated[Any, OnlyValues([]), _schema([])] = None
    functions: Annotated[Any, OnlyValues([]), _schema([])] = None
    function_call: Annotated[Any, OnlyValues("none", "auto"), _schema("none", "auto")] = None
    modalities: Annotated[Any, OnlyValues(["text"]), _schema(["text"])] = None
    audio: Unsupported = None
    prediction: Unsupported = None
    web_search_options: Unsupported = None
    prompt_cache_retention: Unsupported = None

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
        if self.stream_options is not None and not self.stream:
            raise _contradiction("stream_options needs stream: true")
        return self

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


def _grace(value: Any) -> Any:
    """An integer counts tokens, a float is a share: ``1`` and ``1.0`` differ."""
    if value is None or (type(value) is int and value >= 0):
        return value
    if type(value) is float and 0 <= value <= 1:
        return value
    raise PydanticCustomError(
        "grace", "should be tokens (an integer >= 0) or a share (0.0 to 1.0) of the budget"
    )
