"""Sampling fields of a body, checked against the model."""

from server.engine.protocol import Engine, SamplingSettings
from server.errors import BadRequestError
from server.openai.protocol import ChatCompletionRequest
from server.openai.structured import answer_constraint


def sampling_settings(
    body: ChatCompletionRequest, engine: Engine, max_tokens: int
) -> SamplingSettings:
    """Settings of the first choice; absent fields mean the model's defaults, then OpenAI's.

    Raises:
        BadRequestError: a token or a number of log-probabilities that the model lacks.
    """
    seed = body.seed
    default = engine.default_sampling
    return SamplingSettings(
        max_tokens=max_tokens,
        temperature=_first(body.temperature, default.get("temperature"), 1.0),
        top_p=_first(body.top_p, default.get("top_p"), 1.0),
        top_k=max(0, int(_first(body.top_k, default.get("top_k"), 0))),
        min_p=_first(body.min_p, default.get("min_p"), 0.0),
        # The engine takes a negative seed for "none".
        seed=None if seed is None else seed & (2**63 - 1),
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        repetition_penalty=_first(body.repetition_penalty, default.get("repetition_penalty"), 1.0),
        logit_bias=_logit_bias(body, engine),
        num_logprobs=_num_logprobs(body, engine.max_logprobs),
    )


def _first(asked: float | None, model_default: float | None, default: float) -> float:
    if asked is not None:
        return asked
    return default if model_default is None else model_default


def _logit_bias(body: ChatCompletionRequest, engine: Engine) -> dict[int, float]:
    bias, vocab_size = body.logit_bias or {}, engine.vocab_size
    for token_id in bias:
        is_id = token_id.isascii() and token_id.isdecimal() and len(token_id) < 10
        if not (is_id and int(token_id) < vocab_size):
            raise BadRequestError(
                f"logit_bias: each key should be a token id from 0 to {vocab_size - 1}",
                param="logit_bias",
                code="invalid_value",
            )
    asked = {int(token_id): value for token_id, value in bias.items()}
    if answer_constraint(body.response_format, body.structured_outputs) is None:
        return asked
    # Such a token ends a thought and begins the answer, in which no grammar has allowed it.
    return asked | dict.fromkeys(engine.profile.tool_call_token_ids, float("-inf"))


def _num_logprobs(body: ChatCompletionRequest, most: int) -> int | None:
    if not body.logprobs:
        return None
    if (num_top := body.top_logprobs or 0) > most:
        raise BadRequestError(
            f"top_logprobs: should be at most {most}", param="top_logprobs", code="invalid_value"
        )
    return num_top
