"""How busy vLLM is, from its own scheduler's statistics.

One of vLLM's stat loggers (``vllm/v1/metrics/loggers.py``, vLLM 0.32) beside its own, which stay
as they are. Each of vLLM's data-parallel engines reports for itself. Logs nothing.
"""

from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import SchedulerStats

from server.engine.protocol import EngineLoad


class LoadReader:
    """Keeps what each engine has last said."""

    def __init__(self) -> None:
        self._last: dict[int, EngineLoad] = {}

    def logger(self, vllm_config: Any, engine_index: int = 0) -> StatLoggerBase:
        """The factory that vLLM asks for a logger of one engine."""
        return _LoadLogger(self, engine_index)

    def note(self, index: int, stats: SchedulerStats) -> None:
        """What engine `index` says."""
        num_waiting = stats.num_waiting_reqs + stats.num_skipped_waiting_reqs
        self._last[index] = EngineLoad(stats.num_running_reqs, num_waiting, stats.kv_cache_usage)

    def load(self) -> EngineLoad:
        """Of all engines together; the fullest KV cache is the one that counts."""
        loads = list(self._last.values())
        return EngineLoad(
            sum(load.num_running for load in loads),
            sum(load.num_waiting for load in loads),
            max((load.kv_cache_usage for load in loads), default=0.0),
        )


class _LoadLogger(StatLoggerBase):
    def __init__(self, reader: LoadReader, engine_index: int) -> None:
        self._reader = reader
        self._index = engine_index

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is not None:
            self._reader.note(self._index, scheduler_stats)

    def log_engine_initialized(self) -> None:
        pass
