"""Checks a body's sampling fields against the model, and adds the model's defaults.

Does not know the bodies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from server.dialects.options import NativeSampling
from server.engine.protocol import MAX_SEED, Engine, SamplingSettings
from server.errors.api import BadRequestError
from server.prompt.plain_prompt import check_token_ids
from thinking.phase_sampling import PhaseSampling, make_phase_sampling
from thinking.plan import ThinkingPlan

# Settings that a model's generation config may set.
_OF_MODEL = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_OF_PHASE = tuple(field.name for field in fields(PhaseSampling))


def to_sampling_settings(
    requested: Mapping[str, Any], engine: Engine, max_tokens: int
) -> SamplingSettings:
    """Return settings from `requested`, by the names of :class:`SamplingSettings`.

    Other settings have the model's default or else OpenAI's. Nothing is checked.
    """
    default = engine.default_sampling
    of_model = {name: default[name] for name in _OF_MODEL if default.get(name) is not None}
    settings = SamplingSettings(**{**of_model, **requested, "max_tokens": max_tokens})
    seed = settings.seed
    return replace(
        settings,
        top_k=max(0, int(settings.top_k)),
        # To the engine, a negative seed means no seed.
        seed=None if seed is None else seed & MAX_SEED,
    )


def check_sampling(
    requested: Mapping[str, Any],
    engine: Engine,
    max_tokens: int,
    *,
    calls_tools: bool,
    logprobs_field: str,
) -> SamplingSettings:
    """Return the settings of a reply's first choice.

    `calls_tools`: answers may call tools in the model's own format (no grammar forbids it).
    `logprobs_field`: the body's name for `num_logprobs`, for the error.

    Raises:
        BadRequestError: the model has no such token, or not so many log-probabilities.
    """
    num_logprobs = requested.get("num_logprobs")
    if num_logprobs is not None and num_logprobs > engine.max_logprobs:
        raise BadRequestError(
            f"{logprobs_field}: should be at most {engine.max_logprobs}",
            param=logprobs_field,
            code="invalid_value",
        )
    settings = to_sampling_settings(requested, engine, max_tokens)
    bias = _to_logit_bias(requested.get("logit_bias") or {}, engine.vocab_size)
    if not calls_tools:
        # Such a token ends a thought and begins the answer, where it is not allowed.
        bias |= dict.fromkeys(engine.profile.tool_call_token_ids, float("-inf"))
    return replace(
        settings,
        logit_bias=bias,
        allowed_token_ids=_check_allowed_token_ids(settings.allowed_token_ids, engine.vocab_size),
    )


def with_thought_sampling(
    settings: SamplingSettings, options: NativeSampling | None
) -> SamplingSettings:
    """Return the settings with the sampling of thoughts that `options` request.

    A field that is left out is the answer's, whose `settings` have the model's defaults. Nothing
    changes if thoughts are sampled as the answer is.
    """
    if options is None:
        return settings
    given = {name: getattr(options, name) for name in _OF_PHASE}
    thought = make_phase_sampling(
        **{
            name: getattr(settings, name) if value is None else value
            for name, value in given.items()
        }
    )
    return settings if thought == settings.of_answer else replace(settings, thought=thought)


def check_answer_only(settings: SamplingSettings, plan: ThinkingPlan) -> None:
    """Raise BadRequestError if a field that can only apply to whole replies meets a thought.

    The engine would apply it to the thought and its markers too.
    """
    only_answer = {
        "min_tokens": settings.min_tokens,
        "allowed_token_ids": settings.allowed_token_ids,
    }
    for field, value in only_answer.items():
        if value and plan.thinks:
            raise BadRequestError(
                f"{field}: is accepted only without thinking; send max_thinking_tokens: 0",
                param=field,
                code="contradictory_fields",
            )
    if settings.min_tokens > settings.max_tokens:
        raise BadRequestError(
            f"min_tokens: should be at most {settings.max_tokens}, the maximum of this reply",
            param="min_tokens",
            code="contradictory_fields",
        )


def _check_allowed_token_ids(
    token_ids: Sequence[int] | None, vocab_size: int
) -> tuple[int, ...] | None:
    if token_ids is None:
        return None
    check_token_ids(token_ids, vocab_size, "allowed_token_ids")
    return tuple(dict.fromkeys(token_ids))


def _to_logit_bias(bias: Mapping[str, float], vocab_size: int) -> dict[int, float]:
    for token_id in bias:
        is_id = token_id.isascii() and token_id.isdecimal() and len(token_id) < 10
        if not (is_id and int(token_id) < vocab_size):
            raise BadRequestError(
                f"logit_bias: each key should be a token id from 0 to {vocab_size - 1}",
                param="logit_bias",
                code="invalid_value",
            )
    return {int(token_id): value for token_id, value in bias.items()}
