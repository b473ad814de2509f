"""A patch that stops seeded requests from crashing vLLM's CPU worker during chunked prefill.

vLLM 0.32 draws a sample for such a row too, discards it, and rewinds the row's generator by an
offset, which CPU generators do not have: ``RuntimeError: CPU Generator does not use offset``
(``vllm/v1/worker/gpu_model_runner.py``, ``_bookkeeping_sync``). This ends the engine. Any
prompt longer than the step's token limit triggers it, and so do many short ones together. With
the patch, these rows have no generator during the step. Nothing is drawn from it, so the reply
is the same whether its prompt was read in chunks or at once. Does not know plans.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

_PATCHED = "_seeded_prefill"


def keep_generators(runner_class: type[Any]) -> None:
    """Patch `runner_class` (vLLM's ``CPUModelRunner``); further calls have no effect."""
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
