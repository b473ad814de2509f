"""Keeps a seeded request from killing vLLM's CPU worker while its prompt is read in parts.

vLLM 0.32 draws a sample for such a row too, throws it away, and turns the row's generator
back by an offset, which CPU generators do not have: ``RuntimeError: CPU Generator does not
use offset`` (``vllm/v1/worker/gpu_model_runner.py``, ``_bookkeeping_sync``), the end of the
engine. Any prompt longer than the step's token limit does it, and so do many short ones
together. Here those rows have no generator during that step: nothing is drawn from it, so
the reply is the same whether its prompt was read in parts or at once. Knows no plans.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

_PATCHED = "_seeded_prefill"


def keep_generators(runner_class: type[Any]) -> None:
    """Patch `runner_class` (vLLM's ``CPUModelRunner``), once."""
    original: Callable[..., Any] = runner_class.sample_tokens
    if getattr(original, _PATCHED, False):
        return

    @functools.wraps(original)
    def sample_tokens(self: Any, *args: Any, **kwargs: Any) -> Any:
        batch = self.input_batch
        generators = batch.generators
        unread = np.nonzero(self.discard_request_mask.np[: batch.num_reqs])[0].tolist()
        put_aside = {row: generators.pop(row) for row in unread if row in generators}
        try:
            return original(self, *args, **kwargs)
        finally:
            generators.update(put_aside)

    setattr(sample_tokens, _PATCHED, True)
    runner_class.sample_tokens = sample_tokens
