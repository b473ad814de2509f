"""The load from vLLM's statistics, through vLLM's adapter, without starting an engine."""

from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import PerEngineStatLoggerAdapter
from vllm.v1.metrics.stats import SchedulerStats

from server.engine.protocol import EngineLoad
from server.engine.vllm_load import LoadReader


def test_the_load_is_that_of_the_last_step_of_all_engines() -> None:
    reader = LoadReader()
    assert reader.sum_load() == EngineLoad()
    adapter = PerEngineStatLoggerAdapter(VllmConfig(), [0, 1], reader.create_logger)
    adapter.log_engine_initialized()
    for engine, stats in [
        (0, SchedulerStats(num_running_reqs=9, kv_cache_usage=0.9)),
        (0, SchedulerStats(num_running_reqs=2, num_waiting_reqs=3, kv_cache_usage=0.25)),
        (1, SchedulerStats(num_running_reqs=1, num_skipped_waiting_reqs=4, kv_cache_usage=0.5)),
        (1, None),
    ]:
        adapter.record(stats, None, engine_idx=engine)
    adapter.log()
    assert reader.sum_load() == EngineLoad(num_running=3, num_waiting=7, kv_cache_usage=0.5)
