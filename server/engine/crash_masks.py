"""What vLLM writes when its engine crashes, without what clients wrote or models thought.

vLLM logs the whole batch then (``vllm/logging_utils/dump_input.py``, 0.32): sampling
parameters with our plans, which hold tokens of thoughts; schemas; images. Its own masking
covers prompts only. Here the dump is replaced by counts.
"""

from typing import Any

from vllm import sampling_params
from vllm.logger import init_logger
from vllm.v1.engine import core

logger = init_logger(__name__)


def mask_crash_dumps() -> None:
    """Replace vLLM's dump, in this process. Harmless to call twice."""
    core.dump_engine_exception = log_batch_size
    sampling_params.SamplingParams.__repr__ = masked_repr


def log_batch_size(config: Any, scheduler_output: Any, scheduler_stats: Any) -> None:
    """Stands in for vLLM's ``dump_engine_exception``: says how much was being computed."""
    try:
        logger.error(
            "the engine failed on a batch of %d requests, %d new, %d tokens; KV cache %.0f %% full",
            len(scheduler_output.num_scheduled_tokens),
            len(scheduler_output.scheduled_new_reqs),
            scheduler_output.total_num_scheduled_tokens,
            100.0 * (scheduler_stats.kv_cache_usage if scheduler_stats else 0.0),
        )
    except Exception as error:  # the exception that is being handled must go on
        logger.error("the engine failed; its batch could not be described: %s", type(error))


def masked_repr(params: Any) -> str:
    """Stands in for ``SamplingParams.__repr__``, which vLLM also logs requests with."""
    return (
        f"SamplingParams(temperature={params.temperature}, top_p={params.top_p}, "
        f"top_k={params.top_k}, max_tokens={params.max_tokens}, …)"
    )
