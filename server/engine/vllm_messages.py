"""Conversion of requests to vLLM's types and of vLLM's outputs to ours. Knows no engine."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from vllm.logprobs import Logprob
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from vllm.v1.structured_output.utils import choice_as_grammar

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine.gathering import GATHER_KEY
from server.engine.protocol import (
    EngineOutput,
    EngineRequest,
    SamplingSettings,
    TokenLogprob,
    TokenLogprobs,
)
from server.errors.internal import AbortedError, EngineError
from thinking.plan import EXTRA_ARGS_KEY
from thinking.sampler.nucleus import Nucleus
from thinking.vllm_plugin.nucleus import to_extra_args


def to_sampling_params(request: EngineRequest, *, limits_apart: bool = False) -> SamplingParams:
    """Return vLLM's parameters for token deltas without text, with the plan for the sampler.

    Args:
        limits_apart: top-k and top-p are for our own processor, not for vLLM's sampler.

    Raises:
        ValueError: vLLM rejects a value (``VLLMValidationError`` is a subclass).
    """
    sampling = request.sampling
    extra_args: dict[str, Any] = {EXTRA_ARGS_KEY: request.plan.to_dict()}
    if request.gathering is not None:
        extra_args[GATHER_KEY] = request.gathering.to_dict()
    by_phase = sampling.by_phase if request.plan.thinks else None
    if by_phase is not None:
        extra_args |= by_phase.to_extra_args()
        sampling = replace(sampling, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    if limits_apart:
        extra_args |= to_extra_args(Nucleus(sampling.top_k, sampling.top_p))
        sampling = replace(sampling, top_k=0, top_p=1.0)
    return SamplingParams(
        **_rename_for_vllm(sampling),
        prompt_logprobs=request.num_prompt_logprobs,
        stop_token_ids=list(request.stop_token_ids) or None,
        structured_outputs=to_structured_outputs(request.constraint),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=extra_args,
    )


def _rename_for_vllm(sampling: SamplingSettings) -> dict[str, Any]:
    """Return the settings under the names of vLLM's arguments, of which one differs.

    vLLM has no argument for thoughts.
    """
    values = {field.name: getattr(sampling, field.name) for field in fields(sampling)}
    del values["thought"]
    values["logprobs"] = values.pop("num_logprobs")
    return {name: _to_builtin(value) for name, value in values.items()}


def _to_builtin(value: Any) -> Any:
    """Return a mapping as a dict (None if empty) and a tuple as a list, as vLLM expects."""
    if isinstance(value, Mapping):
        return dict(value) or None
    return list(value) if isinstance(value, tuple) else value


def to_structured_outputs(constraint: AnswerConstraint | None) -> StructuredOutputsParams | None:
    """Return `constraint` as vLLM's parameters."""
    match constraint:
        case None:
            return None
        case AnswerConstraint(kind=ConstraintKind.JSON_SCHEMA):
            return StructuredOutputsParams(json=constraint.text)
        case AnswerConstraint(kind=ConstraintKind.JSON_OBJECT):
            return StructuredOutputsParams(json_object=True)
        case AnswerConstraint(kind=ConstraintKind.REGEX):
            return StructuredOutputsParams(regex=constraint.text)
        case AnswerConstraint(kind=ConstraintKind.STRUCTURE):
            return StructuredOutputsParams(structural_tag=constraint.text)
        case _:
            return StructuredOutputsParams(grammar=to_grammar(constraint))


def to_grammar(constraint: AnswerConstraint) -> str:
    """Return the text that the engine compiles. Choices become a grammar, as in vLLM."""
    if constraint.kind is ConstraintKind.CHOICE:
        return str(choice_as_grammar(list(constraint.choices)))
    return constraint.text


def to_engine_output(output: RequestOutput, request: EngineRequest) -> EngineOutput:
    """Convert one delta.

    Raises:
        AbortedError: the engine aborted the request.
        EngineError: the engine ended it for another reason (the client may retry).
    """
    completion = output.outputs[0]
    token_ids = list(completion.token_ids)
    num_logprobs = request.sampling.num_logprobs
    logprobs = None
    if num_logprobs is not None and completion.logprobs is not None:
        logprobs = [
            _to_token_logprobs(token_id, candidates, num_logprobs)
            for token_id, candidates in zip(token_ids, completion.logprobs, strict=True)
        ]
    match completion.finish_reason:
        case None | "stop" | "length":
            return EngineOutput(
                token_ids,
                logprobs,
                completion.finish_reason,
                _to_prompt_logprobs(output, request),
                # The same on every output of the request.
                output.num_cached_tokens,
            )
        case "abort":
            raise AbortedError("aborted by the engine")
        case other:
            raise EngineError(f"the engine ended the request: {other}")


def _to_prompt_logprobs(
    output: RequestOutput, request: EngineRequest
) -> list[TokenLogprobs | None] | None:
    """Return the log-probabilities of the prompt, which are in vLLM's first output only."""
    num_top = request.num_prompt_logprobs
    if num_top is None or not output.prompt_logprobs:
        return None
    return [
        _to_token_logprobs(token_id, candidates, num_top) if candidates else None
        for token_id, candidates in zip(
            request.prompt_token_ids, output.prompt_logprobs, strict=True
        )
    ]


def _to_token_logprobs(
    token_id: int, candidates: dict[int, Logprob], num_top: int
) -> TokenLogprobs:
    """Separate the sampled token from the top ones.

    vLLM returns both in one mapping; the sampled token may have a rank beyond the top ones.
    """
    top: Sequence[tuple[int, Logprob]] = sorted(
        (item for item in candidates.items() if 1 <= (item[1].rank or 0) <= num_top),
        key=lambda item: item[1].rank or 0,
    )
    return TokenLogprobs(
        sampled=TokenLogprob(token_id, candidates[token_id].logprob),
        top=tuple(TokenLogprob(top_id, entry.logprob) for top_id, entry in top[:num_top]),
    )
