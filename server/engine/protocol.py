"""What the API layer knows of an engine.

Token ids in, token ids out; nothing here knows HTTP, text or vLLM.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from transformers import PreTrainedTokenizerBase

from server.constraint.answer_constraint import AnswerConstraint
from server.tools.reading import ToolCallReader
from server.tools.tool import Tool
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Sampling parameters of one choice, named as in vLLM's ``SamplingParams``."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    num_logprobs: int | None = None  # None: no log-probabilities; 0: the sampled token's only
    ignore_eos: bool = False  # the model's own stop tokens do not end the request
    min_tokens: int = 0  # before the first stop token
    allowed_token_ids: Sequence[int] | None = None  # None: all


@dataclass(frozen=True, slots=True)
class EnginePrompt:
    """Prompt ids as the model sees them, images expanded to as many tokens as they take.

    `images` is the engine's own, for :class:`EngineRequest`; None: there are none.
    """

    token_ids: Sequence[int]
    images: object | None = None


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One choice to generate. `request_id` is unique in the process.

    `constraint` holds for the answer; None: any text. `stop_token_ids` end the request as the
    model's own stop tokens do, but nothing else changes for them: they may be part of a thought.
    `num_prompt_logprobs`: alternatives at each position of the prompt; None: no log-probabilities
    of it.
    """

    request_id: str
    prompt_token_ids: Sequence[int]
    sampling: SamplingSettings
    plan: ThinkingPlan
    constraint: AnswerConstraint | None = None
    stop_token_ids: Sequence[int] = ()
    # Of the `EnginePrompt` with which the prompt begins.
    images: object | None = None
    num_prompt_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and its natural-log probability under the model's raw distribution."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities at one position: the sampled token, and the top ones in order."""

    sampled: TokenLogprob
    top: Sequence[TokenLogprob]


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """New tokens of one choice since the last output.

    `logprobs` has one entry per token where asked for. `finish_reason` is set on the
    last output: "stop" (a stop token, which is the last of `token_ids`), "length", or
    "abort". `prompt_logprobs` is in the first output, where asked for: an entry a prompt token,
    the first of them None.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[TokenLogprobs] | None = None
    finish_reason: Literal["stop", "length", "abort"] | None = None
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Requests in an engine's batch and before it; how full its KV cache is, 0 to 1."""

    num_running: int = 0
    num_waiting: int = 0
    kv_cache_usage: float = 0.0


class Engine(Protocol):
    """Generates tokens under thinking plans; one model."""

    @property
    def model_name(self) -> str:
        """The name under which the model is served."""

    @property
    def max_model_len(self) -> int:
        """Prompt plus completion, in tokens."""

    @property
    def vocab_size(self) -> int:
        """Size of the model's logits; valid token ids are below it."""

    @property
    def max_logprobs(self) -> int:
        """Most `num_logprobs` that a request may ask for."""

    @property
    def default_sampling(self) -> Mapping[str, float]:
        """What the model's generation config says of `temperature`, `top_p`, `top_k`,
        `min_p` and `repetition_penalty`; for requests that do not."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer, with its chat template."""

    @property
    def profile(self) -> MarkerProfile:
        """The model's markers."""

    @property
    def max_images(self) -> int:
        """Most images of one prompt; 0: the model reads text only."""

    @property
    def reads_tool_calls(self) -> bool:
        """Whether tool calls in the model's own form can be read."""

    def new_tool_call_reader(self, tools: Sequence[Tool]) -> ToolCallReader:
        """Reads one answer that may call `tools` in the model's own form; not where
        :attr:`reads_tool_calls` is false."""

    @property
    def is_alive(self) -> bool:
        """False once the engine has died."""

    @property
    def num_running(self) -> int:
        """Requests that the engine has accepted and not finished."""

    @property
    def max_num_seqs(self) -> int:
        """Most requests that run at a time; further ones wait in the engine."""

    @property
    def load(self) -> EngineLoad:
        """How busy it was in its last step."""

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """Stream one choice; closing the generator early aborts it in the engine.

        Raises:
            EngineRequestError: the request is refused.
            EngineDeadError: the engine died before or during the request.
            GivenUpError: see :meth:`give_up`.
        """

    def give_up(self) -> None:
        """End all requests, those to come as well, with a :class:`GivenUpError`."""

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """A prompt with its images (encoded as PNG, JPEG …) in place of their tokens.

        Raises:
            EngineRequestError: an image cannot be read, or has no place in the prompt.
        """

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        """Return where answers can be held to `constraint`; before any request with it.

        Raises:
            ConstraintError: it is malformed, too complex, or not supported.
        """

    async def wait_dead(self) -> None:
        """Return when the engine has died; never, while it lives."""

    async def close(self) -> None:
        """Stop the engine and free what it holds."""
