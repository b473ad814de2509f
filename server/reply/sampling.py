"""Sampling fields of a body, checked against the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.engine.protocol import Engine, SamplingSettings
from server.errors.api import BadRequestError
from server.prompt.plain_prompt import check_token_ids
from thinking.plan import ThinkingPlan


@dataclass(frozen=True, slots=True)
class SamplingAsk:
    """What a body says of sampling; None: nothing. The names are OpenAI's.

    `num_logprobs`: alternatives at each position beside the sampled token; the body calls
    it `logprobs_field`. Keys of `logit_bias` are token ids in decimal.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    num_logprobs: int | None = None
    logprobs_field: str = "top_logprobs"
    ignore_eos: bool | None = None
    # Of the answer: they go with a reply that does not think.
    min_tokens: int | None = None
    allowed_token_ids: Sequence[int] | None = None


def sampling_settings(
    ask: SamplingAsk, engine: Engine, max_tokens: int, *, calls_tools: bool
) -> SamplingSettings:
    """Settings of the first choice; absent fields mean the model's defaults, then OpenAI's.

    `calls_tools`: answers may call tools in the model's own form (no grammar forbids it).

    Raises:
        BadRequestError: a token or a number of log-probabilities that the model lacks.
    """
    seed = ask.seed
    default = engine.default_sampling
    return SamplingSettings(
        max_tokens=max_tokens,
        temperature=_first(ask.temperature, default.get("temperature"), 1.0),
        top_p=_first(ask.top_p, default.get("top_p"), 1.0),
        top_k=max(0, int(_first(ask.top_k, default.get("top_k"), 0))),
        min_p=_first(ask.min_p, default.get("min_p"), 0.0),
        # The engine takes a negative seed for "none".
        seed=None if seed is None else seed & (2**63 - 1),
        presence_penalty=ask.presence_penalty or 0.0,
        frequency_penalty=ask.frequency_penalty or 0.0,
        repetition_penalty=_first(ask.repetition_penalty, default.get("repetition_penalty"), 1.0),
        logit_bias=_logit_bias(ask, engine, calls_tools=calls_tools),
        num_logprobs=_num_logprobs(ask, engine.max_logprobs),
        ignore_eos=bool(ask.ignore_eos),
        min_tokens=ask.min_tokens or 0,
        allowed_token_ids=_allowed_token_ids(ask, engine.vocab_size),
    )


def check_answer_only(ask: SamplingAsk, plan: ThinkingPlan, max_tokens: int) -> None:
    """Raise BadRequestError where a field that holds for whole replies meets a thought.

    The engine would hold the thought and its markers to it.
    """
    asked = {"min_tokens": ask.min_tokens, "allowed_token_ids": ask.allowed_token_ids}
    for field, value in asked.items():
        if value and plan.thinks:
            raise BadRequestError(
                f"{field}: is taken only where nothing is thought; send max_thinking_tokens: 0",
                param=field,
                code="contradictory_fields",
            )
    if ask.min_tokens is not None and ask.min_tokens > max_tokens:
        raise BadRequestError(
            f"min_tokens: should be at most {max_tokens}, the most that this reply can have",
            param="min_tokens",
            code="contradictory_fields",
        )


def _allowed_token_ids(ask: SamplingAsk, vocab_size: int) -> tuple[int, ...] | None:
    if ask.allowed_token_ids is None:
        return None
    check_token_ids(ask.allowed_token_ids, vocab_size, "allowed_token_ids")
    return tuple(dict.fromkeys(ask.allowed_token_ids))


def _first(asked: float | None, model_default: float | None, default: float) -> float:
    if asked is not None:
        return asked
    return default if model_default is None else model_default


def _logit_bias(ask: SamplingAsk, engine: Engine, *, calls_tools: bool) -> dict[int, float]:
    bias, vocab_size = ask.logit_bias or {}, engine.vocab_size
    for token_id in bias:
        is_id = token_id.isascii() and token_id.isdecimal() and len(token_id) < 10
        if not (is_id and int(token_id) < vocab_size):
            raise BadRequestError(
                f"logit_bias: each key should be a token id from 0 to {vocab_size - 1}",
                param="logit_bias",
                code="invalid_value",
            )
    asked = {int(token_id): value for token_id, value in bias.items()}
    if calls_tools:
        return asked
    # Such a token ends a thought and begins the answer, in which it is not allowed.
    return asked | dict.fromkeys(engine.profile.tool_call_token_ids, float("-inf"))


def _num_logprobs(ask: SamplingAsk, most: int) -> int | None:
    if ask.num_logprobs is not None and ask.num_logprobs > most:
        raise BadRequestError(
            f"{ask.logprobs_field}: should be at most {most}",
            param=ask.logprobs_field,
            code="invalid_value",
        )
    return ask.num_logprobs
