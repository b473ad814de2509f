"""Rejects a request whose plan would break the sampler, before it reaches a worker.

Both runners' processors call this in the API process: vLLM answers its ValueError with a 400.
"""

from vllm.sampling_params import SamplingParams

from thinking.plan import ThinkingPlan
from thinking.vllm_plugin.identity import OwnEngine, check_identity
from thinking.vllm_plugin.worker_config import read_plan


def check_request(params: SamplingParams) -> None:
    """Reject a malformed plan, one with ids that are no tokens here, and another engine's.

    Raises:
        ValueError: see :meth:`ThinkingPlan.from_dict` and :func:`check_identity`.
    """
    check_identity(params)
    plan = read_plan(params)
    if plan is not None and OwnEngine.vocab_size is not None:
        _check_tokens(plan, OwnEngine.vocab_size)


def _check_tokens(plan: ThinkingPlan, vocab_size: int) -> None:
    largest = max(
        max(ids, default=0) for ids in (plan.script, plan.prior_token_ids, plan.earlier_token_ids)
    )
    if largest >= vocab_size:
        raise ValueError(
            f"thinking plan: token id {largest}, and this model has {vocab_size} tokens"
        )
