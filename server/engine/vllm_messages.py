"""Our requests in vLLM's terms, vLLM's outputs in ours. Knows no engine."""

from collections.abc import Sequence

from vllm.logprobs import Logprob
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from vllm.v1.structured_output.utils import choice_as_grammar

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine.protocol import EngineOutput, EngineRequest, TokenLogprob, TokenLogprobs
from server.errors.internal import EngineError
from thinking.plan import EXTRA_ARGS_KEY


def to_sampling_params(request: EngineRequest) -> SamplingParams:
    """Token ids only, new ones at a time, with the plan for the sampler.

    Raises:
        ValueError: vLLM refuses a value (``VLLMValidationError`` is one too).
    """
    sampling = request.sampling
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=dict(sampling.logit_bias) or None,
        logprobs=sampling.num_logprobs,
        prompt_logprobs=request.num_prompt_logprobs,
        ignore_eos=sampling.ignore_eos,
        min_tokens=sampling.min_tokens,
        allowed_token_ids=_list_or_none(sampling.allowed_token_ids),
        stop_token_ids=list(request.stop_token_ids) or None,
        structured_outputs=to_structured_outputs(request.constraint),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args={EXTRA_ARGS_KEY: request.plan.to_dict()},
    )


def _list_or_none(values: Sequence[int] | None) -> list[int] | None:
    return None if values is None else list(values)


def to_structured_outputs(constraint: AnswerConstraint | None) -> StructuredOutputsParams | None:
    """vLLM's name for a constraint."""
    match constraint:
        case None:
            return None
        case AnswerConstraint(kind=ConstraintKind.JSON_SCHEMA):
            return StructuredOutputsParams(json=constraint.text)
        case AnswerConstraint(kind=ConstraintKind.JSON_OBJECT):
            return StructuredOutputsParams(json_object=True)
        case AnswerConstraint(kind=ConstraintKind.REGEX):
            return StructuredOutputsParams(regex=constraint.text)
        case _:
            return StructuredOutputsParams(grammar=grammar_text(constraint))


def grammar_text(constraint: AnswerConstraint) -> str:
    """What the engine compiles; choices become a grammar, as vLLM would make one of them."""
    if constraint.kind is ConstraintKind.CHOICE:
        return str(choice_as_grammar(list(constraint.choices)))
    return constraint.text


def to_engine_output(output: RequestOutput, request: EngineRequest) -> EngineOutput:
    """One delta.

    Raises:
        EngineError: the engine gave this request up (it may be tried again).
    """
    completion = output.outputs[0]
    token_ids = list(completion.token_ids)
    num_logprobs = request.sampling.num_logprobs
    logprobs = None
    if num_logprobs is not None and completion.logprobs is not None:
        logprobs = [
            _position(token_id, candidates, num_logprobs)
            for token_id, candidates in zip(token_ids, completion.logprobs, strict=True)
        ]
    match completion.finish_reason:
        case None | "stop" | "length" | "abort":
            prompt = _prompt_logprobs(output, request)
            return EngineOutput(token_ids, logprobs, completion.finish_reason, prompt)
        case other:
            raise EngineError(f"the engine ended the request: {other}")


def _prompt_logprobs(
    output: RequestOutput, request: EngineRequest
) -> list[TokenLogprobs | None] | None:
    """Those of the prompt, which vLLM has in its first output; None: not in this one."""
    num_top = request.num_prompt_logprobs
    if num_top is None or not output.prompt_logprobs:
        return None
    return [
        _position(token_id, candidates, num_top) if candidates else None
        for token_id, candidates in zip(
            request.prompt_token_ids, output.prompt_logprobs, strict=True
        )
    ]


def _position(token_id: int, candidates: dict[int, Logprob], num_top: int) -> TokenLogprobs:
    """vLLM puts the sampled token among the top ones, or beside them with its own rank."""
    top: Sequence[tuple[int, Logprob]] = sorted(
        (item for item in candidates.items() if 1 <= (item[1].rank or 0) <= num_top),
        key=lambda item: item[1].rank or 0,
    )
    return TokenLogprobs(
        sampled=TokenLogprob(token_id, candidates[token_id].logprob),
        top=tuple(TokenLogprob(top_id, entry.logprob) for top_id, entry in top[:num_top]),
    )
