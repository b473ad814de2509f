"""The interface between the API layer and an engine: token ids in, token ids out.

Knows nothing of HTTP, text or vLLM.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from transformers import PreTrainedTokenizerBase

from server.constraint.answer_constraint import AnswerConstraint
from server.engine.gathering import Gathering
from server.tools.call_form import CallForm
from server.tools.reading import ToolCallReader
from server.tools.tool import Tool
from thinking.markers.profile import MarkerProfile
from thinking.phase_sampling import PhaseSampling, SamplingByPhase, make_phase_sampling
from thinking.plan import ThinkingPlan

# vLLM's seeds are signed 64-bit integers, and -1 means "no seed". Ours are from 0 to MAX_SEED;
# `seed & MAX_SEED` maps any integer into that range.
MAX_SEED = 2**63 - 1


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
    ignore_eos: bool = False  # the model's stop tokens do not end the request
    min_tokens: int = 0  # before the first stop token
    allowed_token_ids: Sequence[int] | None = None  # None: all
    thought: PhaseSampling | None = None  # of thoughts; None: as the answer

    @property
    def by_phase(self) -> SamplingByPhase | None:
        """Both samplings; None: one for all tokens."""
        if self.thought is None:
            return None
        return SamplingByPhase(self.thought, self.of_answer)

    @property
    def of_answer(self) -> PhaseSampling:
        """The parameters of the answer's tokens."""
        return make_phase_sampling(self.temperature, self.top_p, self.top_k, self.min_p)

    def with_seed_offset(self, offset: int) -> "SamplingSettings":
        """Return the same settings with another seed; without a seed, unchanged."""
        if self.seed is None:
            return self
        return replace(self, seed=(self.seed + offset) & MAX_SEED)


@dataclass(frozen=True, slots=True)
class EnginePrompt:
    """Prompt token ids with image placeholders expanded to the tokens that the images take.

    `images` is opaque data of the engine, to be passed to :class:`EngineRequest`; None: no images.
    """

    token_ids: Sequence[int]
    images: object | None = None


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A request to generate one choice. `request_id` is unique in the process.

    `constraint` applies to the answer; None: any text. `stop_token_ids` end the request as the
    model's own stop tokens do, but are otherwise ordinary tokens, so a thought may contain them.
    `num_prompt_logprobs` is the number of alternatives at each position of the prompt; None: no
    log-probabilities of the prompt.

    Where nobody sees the thought that the reply begins with, its tokens may wait for each other;
    without `gathering` each comes as soon as it is generated.
    """

    request_id: str
    prompt_token_ids: Sequence[int]
    sampling: SamplingSettings
    plan: ThinkingPlan
    constraint: AnswerConstraint | None = None
    stop_token_ids: Sequence[int] = ()
    # From the `EnginePrompt` that the prompt begins with.
    images: object | None = None
    num_prompt_logprobs: int | None = None
    gathering: Gathering | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and its natural-log probability under the model's raw distribution."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities at one position: the sampled token and the top tokens in order."""

    sampled: TokenLogprob
    top: Sequence[TokenLogprob]


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """New tokens of one choice since the last output.

    `logprobs`, if requested, has one entry per token. `finish_reason` is set on the last output:
    "stop" (a stop token, which is the last of `token_ids`) or "length". `prompt_logprobs`, if
    requested, is set on the first output and has one entry per prompt token, None for the first.
    `num_cached_tokens` is set on the first output or on the last: the number of prompt tokens that
    were not computed, because the engine found them in its prefix cache. `num_migrations` counts
    the engines that were lost since the last output, where a request goes on in another.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[TokenLogprobs] | None = None
    finish_reason: Literal["stop", "length"] | None = None
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None
    num_cached_tokens: int | None = None
    num_migrations: int = 0


class InterruptedRequestError(Exception):
    """End of the outputs of a request that was interrupted; see :meth:`Engine.interrupt`.

    `output` has the tokens that have not been handed over yet, `written` all tokens of the request.
    """

    def __init__(self, output: EngineOutput, written: Sequence[int]) -> None:
        super().__init__("the request was interrupted")
        self.output = output
        self.written = written


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Engines elsewhere, those of them that are ready, and the requests that lost one, by cause."""

    num_engines: int
    num_ready: int
    num_lost: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Requests in an engine's batch and in its queue, and its KV cache usage from 0 to 1.

    `fleet` is set where other processes run the engines.
    """

    num_running: int = 0
    num_waiting: int = 0
    kv_cache_usage: float = 0.0
    fleet: FleetCounts | None = None


class Engine(Protocol):
    """Generates tokens of one model under thinking plans."""

    @property
    def model_name(self) -> str:
        """The name under which the model is served."""

    @property
    def max_model_len(self) -> int:
        """Maximum sequence length (prompt plus completion), in tokens."""

    @property
    def vocab_size(self) -> int:
        """Size of the model's logits; valid token ids are smaller."""

    @property
    def max_logprobs(self) -> int:
        """Maximum value of `num_logprobs` in a request."""

    @property
    def default_sampling(self) -> Mapping[str, float]:
        """Defaults from the model's generation config for `temperature`, `top_p`, `top_k`,
        `min_p` and `repetition_penalty`."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer, with its chat template."""

    @property
    def profile(self) -> MarkerProfile:
        """The model's thinking markers."""

    @property
    def max_images(self) -> int:
        """Maximum number of images per prompt; 0: the model reads text only."""

    @property
    def reads_tool_calls(self) -> bool:
        """True if tool calls in the model's own format can be read."""

    def create_tool_call_reader(self, tools: Sequence[Tool]) -> ToolCallReader:
        """Create a reader for an answer that may call `tools` in the model's own format.

        Only if :attr:`reads_tool_calls` is true.
        """

    def describe_calls(self, tools: Sequence[Tool], *, parallel: bool) -> CallForm:
        """Return the form of calls of `tools`: the model's own, if it can be put in a grammar.

        `parallel` is False for a single call. Only if :attr:`reads_tool_calls` is true.
        """

    @property
    def is_alive(self) -> bool:
        """False once the engine has died."""

    @property
    def not_ready_reason(self) -> str | None:
        """Reason why a living engine can take no request now; None: it can."""

    @property
    def num_running(self) -> int:
        """Number of requests that the engine has accepted and not finished."""

    @property
    def max_num_seqs(self) -> int:
        """Maximum number of requests that run at a time; further ones wait in the engine."""

    @property
    def load(self) -> EngineLoad:
        """Load of the engine in its last step."""

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """Stream the outputs of one choice. Closing the generator early aborts the request.

        Raises:
            EngineRequestError: the engine rejects the request.
            EngineDeadError: the engine died before or during the request.
            AbortedError: the engine aborted the request without being told to.
            GivenUpError: see :meth:`give_up`.
            InterruptedRequestError: see :meth:`interrupt`.
        """

    async def interrupt(self, request_id: str) -> None:
        """Abort a running request, whose outputs then end with an InterruptedRequestError.

        No token is lost that has reached this process. Has no effect on a request whose outputs are
        not being read, or which has ended.
        """

    def take_unread(self, request_id: str) -> Sequence[int]:
        """Return, once, the hidden tokens that waited when the outputs of a request were closed.

        They are generated, and counted, although nobody has read them.
        """

    def give_up(self) -> None:
        """End all current and future requests with a :class:`GivenUpError`."""

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """Return the prompt with `images` (PNG, JPEG …) in place of their placeholder tokens.

        Raises:
            EngineRequestError: an image cannot be decoded, or has no placeholder in the prompt.
        """

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        """Check that the engine can enforce `constraint`. Must precede requests that use it.

        Raises:
            ConstraintError: the constraint is malformed, too complex, or not supported.
        """

    async def wait_dead(self) -> None:
        """Wait until the engine has died."""

    async def close(self) -> None:
        """Stop the engine and release its resources."""
