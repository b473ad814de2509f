"""Removes text of clients and models from the log output of a crashing engine.

On a crash vLLM logs the whole batch (``vllm/logging_utils/dump_input.py``, 0.32): sampling
parameters with thinking plans, which contain tokens of thoughts; schemas; images. Its own masking
covers prompts only. This module replaces the dump by counts.
"""

from typing import Any

from vllm import sampling_params
from vllm.logger import init_logger
from vllm.v1.engine import core

from thinking.plan import EXTRA_ARGS_KEY

logger = init_logger(__name__)
_show_all = sampling_params.SamplingParams.__repr__


def mask_crash_dumps() -> None:
    """Replace vLLM's dump in this process. Safe to call twice."""
    core.dump_engine_exception = log_batch_size
    sampling_params.SamplingParams.__repr__ = mask_repr


def log_batch_size(config: Any, scheduler_output: Any, scheduler_stats: Any) -> None:
    """Log the size of the failed batch, in place of vLLM's ``dump_engine_exception``."""
    try:
        logger.error(
            "the engine failed on a batch of %d requests, %d new, %d tokens; KV cache %.0f %% full",
            len(scheduler_output.num_scheduled_tokens),
            len(scheduler_output.scheduled_new_reqs),
            scheduler_output.total_num_scheduled_tokens,
            100.0 * (scheduler_stats.kv_cache_usage if scheduler_stats else 0.0),
        )
    except Exception as error:  # must not replace the exception that is being handled
        logger.error("the engine failed; its batch could not be described: %s", type(error))


def mask_repr(params: Any) -> str:
    """Format `params` without the plan, in place of ``SamplingParams.__repr__``.

    vLLM also uses that method to log requests; those without a plan are its own.
    """
    if EXTRA_ARGS_KEY not in (params.extra_args or {}):
        return str(_show_all(params))
    return (
        f"SamplingParams(temperature={params.temperature}, top_p={params.top_p}, "
        f"top_k={params.top_k}, max_tokens={params.max_tokens}, …)"
    )
