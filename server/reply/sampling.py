"""Sampling fields of a body, checked against the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from server.engine.protocol import Engine, SamplingSettings
from server.errors import BadRequestError


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
    )


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
