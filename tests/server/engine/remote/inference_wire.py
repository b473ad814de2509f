"""The other side of vLLM's token-in-token-out API, with the types of vLLM itself.

``vllm/entrypoints/scale_out/token_in_token_out/{protocol,serving}.py``, vLLM 0.32. Sends nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vllm.entrypoints.scale_out.token_in_token_out.protocol import (
    GenerateLogProb,
    GenerateLogProbs,
    GenerateLogProbsContent,
    GenerateRequest,
    GenerateTokensChoice,
    GenerateTokensResponse,
    GenerateTokensStreamChoice,
    GenerateTokensStreamResponse,
)
from vllm.entrypoints.serve.engine.protocol import (
    ErrorInfo,
    ErrorResponse,
    PromptTokenUsageInfo,
    UsageInfo,
)
from vllm.logprobs import Logprob

from server.engine.protocol import EngineOutput, EngineRequest, SamplingSettings, TokenLogprobs
from thinking.phase_sampling import read_sampling_by_phase
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan

DONE = b"data: [DONE]\n\n"


def parse_body(body: bytes) -> GenerateRequest:
    """Return a body as vLLM reads it. Raises ValueError where vLLM would answer 400."""
    return GenerateRequest.model_validate(json.loads(body))


def to_engine_request(parsed: GenerateRequest, *, has_sampler: bool) -> EngineRequest:
    """Return the request that the scripted engine understands.

    Raises:
        ValueError: the sampler cannot read the plan.
    """
    params, extra_args = parsed.sampling_params, parsed.sampling_params.extra_args or {}
    plan = ThinkingPlan()
    if has_sampler and EXTRA_ARGS_KEY in extra_args:
        plan = ThinkingPlan.from_dict(extra_args[EXTRA_ARGS_KEY])
    phases = read_sampling_by_phase(extra_args)
    return EngineRequest(
        request_id=parsed.request_id,
        prompt_token_ids=parsed.token_ids,
        sampling=SamplingSettings(
            max_tokens=params.max_tokens,
            temperature=phases.answer.temperature if phases else params.temperature,
            seed=params.seed,
            logit_bias=params.logit_bias or {},
            num_logprobs=params.logprobs,
            ignore_eos=params.ignore_eos,
            min_tokens=params.min_tokens,
            allowed_token_ids=params.allowed_token_ids,
            thought=phases.thought if phases else None,
        ),
        plan=plan,
        stop_token_ids=params.stop_token_ids or (),
        num_prompt_logprobs=params.prompt_logprobs,
    )


def make_frame(parsed: GenerateRequest, output: EngineOutput, **changes: Any) -> bytes:
    """Return the event of an output; `changes` are of the choice."""
    choice = GenerateTokensStreamChoice(
        **{
            "index": 0,
            "token_ids": list(output.token_ids),
            "finish_reason": output.finish_reason,
            "logprobs": _make_logprobs(output.logprobs),
            **changes,
        }
    )
    frame = GenerateTokensStreamResponse(request_id=parsed.request_id, choices=[choice])
    exclude = {"prompt_token_ids", "mm_placeholders", "metrics"}
    return to_event(frame.model_dump(mode="json", exclude=exclude))


def make_usage_frame(parsed: GenerateRequest, usage: UsageInfo) -> bytes:
    """Return the event after the last output."""
    frame = GenerateTokensStreamResponse(request_id=parsed.request_id, choices=[], usage=usage)
    return f"data: {frame.model_dump_json(exclude_none=True)}\n\n".encode()


def make_usage(
    num_prompt: int, num_completion: int, num_cached: int | None, lies: Mapping[str, int]
) -> UsageInfo:
    """Return usage; `lies` replace counts. Cached tokens only with a flag of vLLM's: None."""
    cached = lies.get("cached_tokens", num_cached)
    return UsageInfo(
        prompt_tokens=lies.get("prompt_tokens", num_prompt),
        completion_tokens=lies.get("completion_tokens", num_completion),
        total_tokens=num_prompt + num_completion,
        prompt_tokens_details=(
            None if cached is None else PromptTokenUsageInfo(cached_tokens=cached)
        ),
    )


def make_whole_answer(
    parsed: GenerateRequest, outputs: Sequence[EngineOutput], usage: UsageInfo
) -> bytes:
    """Return the body of a response that is no stream."""
    logprobs = [place for output in outputs for place in output.logprobs or ()]
    choice = GenerateTokensChoice(
        index=0,
        token_ids=[token_id for output in outputs for token_id in output.token_ids],
        finish_reason=outputs[-1].finish_reason,
        logprobs=_make_logprobs(logprobs or None),
    )
    prompt = outputs[0].prompt_logprobs
    answer = GenerateTokensResponse(
        request_id=parsed.request_id,
        choices=[choice],
        usage=usage,
        prompt_logprobs=None if prompt is None else list(map(_to_vllm, prompt)),
    )
    body: str = answer.model_dump_json()
    return body.encode()


def make_error(message: str, status: int) -> dict[str, Any]:
    """Return the body of vLLM's errors."""
    error = ErrorInfo(message=message, type="Error", code=status)
    body: dict[str, Any] = ErrorResponse(error=error).model_dump()
    return body


def to_event(body: Any) -> bytes:
    """Return an event of a stream."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _make_logprobs(places: Sequence[TokenLogprobs] | None) -> GenerateLogProbs | None:
    if places is None:
        return None
    return GenerateLogProbs(content=[_make_place(place) for place in places])


def _make_place(place: TokenLogprobs) -> GenerateLogProbsContent:
    """Return a position as vLLM does: the sampled token first, then the others by rank."""
    ranks = {top.token_id: rank for rank, top in enumerate(place.top, 1)}
    sampled = GenerateLogProb(
        token_id=place.sampled.token_id,
        logprob=place.sampled.logprob,
        rank=ranks.get(place.sampled.token_id, len(place.top) + 1),
    )
    others = [
        GenerateLogProb(token_id=top.token_id, logprob=top.logprob, rank=rank)
        for rank, top in enumerate(place.top, 1)
        if top.token_id != sampled.token_id
    ]
    return GenerateLogProbsContent(**sampled.model_dump(), top_logprobs=[sampled, *others])


def _to_vllm(place: TokenLogprobs | None) -> dict[int, Logprob] | None:
    if place is None:
        return None
    candidates = {top.token_id: Logprob(top.logprob, rank) for rank, top in enumerate(place.top, 1)}
    beyond = Logprob(place.sampled.logprob, len(place.top) + 1)
    return {place.sampled.token_id: beyond, **candidates}
