"""The current load of vLLM, from its scheduler's statistics.

An additional stat logger for vLLM (``vllm/v1/metrics/loggers.py``, vLLM 0.32), next to the built-in
ones. Each data-parallel engine reports separately. Logs nothing.
"""

from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import SchedulerStats

from server.engine.protocol import EngineLoad


class LoadReader:
    """Keeps the last reported load of each engine."""

    def __init__(self) -> None:
        self._last: dict[int, EngineLoad] = {}

    def create_logger(self, vllm_config: Any, engine_index: int = 0) -> StatLoggerBase:
        """Create the stat logger of one engine; vLLM calls this as a factory."""
        return _LoadLogger(self, engine_index)

    def record(self, index: int, stats: SchedulerStats) -> None:
        """Record the statistics of engine `index`."""
        num_waiting = stats.num_waiting_reqs + stats.num_skipped_waiting_reqs
        self._last[index] = EngineLoad(stats.num_running_reqs, num_waiting, stats.kv_cache_usage)

    def sum_load(self) -> EngineLoad:
        """Return the load of all engines together, with the usage of the fullest KV cache."""
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
            self._reader.record(self._index, scheduler_stats)

    def log_engine_initialized(self) -> None:
        pass
