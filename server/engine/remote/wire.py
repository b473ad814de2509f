"""Requests to vLLM's token-in-token-out API, and its answers.

``POST /inference/v1/generate`` of ``vllm serve --tokens-only``
(``vllm/entrypoints/scale_out/token_in_token_out/protocol.py``, vLLM 0.32). Sends nothing itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from vllm.sampling_params import SamplingParams

from server.engine.protocol import EngineOutput, EngineRequest, TokenLogprob, TokenLogprobs
from server.errors.internal import AbortedError, EngineError

GENERATE_PATH = "/inference/v1/generate"
DATA, DONE = "data: ", "[DONE]"
# Decided by the other side.
_NOT_SENT = frozenset({"output_kind", "detokenize", "structured_outputs"})


class WireError(EngineError):
    """The other side sent something that is none of its API's answers."""


def encode_request(
    request: EngineRequest,
    params: SamplingParams,
    gate: Mapping[str, Any] | None,
    cache_salt: str | None,
) -> dict[str, Any]:
    """Return the body of a streamed request for one choice."""
    return {
        "request_id": request.request_id,
        "token_ids": list(request.prompt_token_ids),
        "sampling_params": encode_params(params),
        "reasoning_parser_kwargs": gate,
        "cache_salt": cache_salt,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def encode_params(params: SamplingParams) -> dict[str, Any]:
    """Return the parameters that are not vLLM's defaults, and the limit of the length always."""
    defaults = SamplingParams()
    values = {
        field.name: getattr(params, field.name)
        for field in msgspec.structs.fields(SamplingParams)
        if not field.name.startswith("_") and field.name not in _NOT_SENT
    }
    sent = {name: value for name, value in values.items() if value != getattr(defaults, name)}
    sent["max_tokens"] = params.max_tokens
    if params.structured_outputs is not None:
        outputs = asdict(params.structured_outputs)
        sent["structured_outputs"] = {
            name: value
            for name, value in outputs.items()
            if value is not None and not name.startswith("_")
        }
    return sent


def read_frame(line: str) -> Mapping[str, Any] | None:
    """Return the object of a line of the stream; None: it has none, or is the last.

    Raises:
        WireError: it is no JSON object.
        EngineError: the engine failed on the request.
    """
    if not line.startswith(DATA) or line == DATA + DONE:
        return None
    try:
        frame = json.loads(line.removeprefix(DATA))
    except ValueError as error:
        raise WireError("a frame of the engine is no JSON") from error
    if not isinstance(frame, dict):
        raise WireError("a frame of the engine is no JSON object")
    if "error" in frame:
        raise EngineError("the engine failed on this request")
    return frame


def decode_output(
    frame: Mapping[str, Any], request: EngineRequest, vocab_size: int
) -> EngineOutput | None:
    """Return the output of a frame; None: it has no tokens and is not the end.

    Raises:
        WireError: it is not one of one choice, or has ids that are no tokens of the model.
        AbortedError: the engine aborted the request.
        EngineError: the engine ended it for another reason.
    """
    choices = frame.get("choices")
    if not choices:
        return None
    try:
        (choice,) = choices
        token_ids = _read_token_ids(choice.get("token_ids") or [], vocab_size)
        logprobs = _read_logprobs(choice.get("logprobs"), token_ids, request)
        reason = choice.get("finish_reason")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("a frame of the engine has not the form of its API") from error
    match reason:
        case None | "stop" | "length":
            return EngineOutput(token_ids, logprobs, reason)
        case "abort":
            raise AbortedError("aborted by the engine")
        case _:
            raise EngineError("the engine ended the request")


def _read_token_ids(values: Sequence[Any], vocab_size: int) -> list[int]:
    token_ids = [int(value) for value in values]
    if any(not 0 <= token_id < vocab_size for token_id in token_ids):
        raise ValueError("no token id of the model")
    return token_ids


def _read_logprobs(
    logprobs: Mapping[str, Any] | None, token_ids: Sequence[int], request: EngineRequest
) -> list[TokenLogprobs] | None:
    num_top = request.sampling.num_logprobs
    if num_top is None or logprobs is None:
        return None
    return [
        TokenLogprobs(_read_logprob(place), _read_top(place["top_logprobs"], num_top))
        for place, _ in zip(logprobs["content"], token_ids, strict=True)
    ]


def _read_top(candidates: Sequence[Mapping[str, Any]], num_top: int) -> tuple[TokenLogprob, ...]:
    """Return the likeliest tokens in order; the sampled one may have a rank beyond them."""
    ranked = sorted(
        (place for place in candidates if 1 <= (place.get("rank") or 0) <= num_top),
        key=lambda place: int(place["rank"]),
    )
    return tuple(map(_read_logprob, ranked[:num_top]))


def _read_logprob(place: Mapping[str, Any]) -> TokenLogprob:
    return TokenLogprob(int(place["token_id"]), float(place["logprob"]))
