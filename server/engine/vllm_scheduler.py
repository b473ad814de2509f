"""vLLM's scheduler, which gathers hidden tokens before they leave the engine's process.

Set through vLLM's ``scheduler_cls`` (``vllm/config/scheduler.py``, 0.32). Decides nothing about
what is scheduled. A request says whether its tokens may wait, and until which.
"""

import time
from collections.abc import Iterable
from typing import Any

from vllm.config import VllmConfig
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs
from vllm.v1.engine.core import EngineCore
from vllm.v1.metrics.stats import SchedulerStats
from vllm.v1.request import Request, RequestStatus

from server.engine.gathering import GATHER_KEY, UNWATCHED_SECONDS, Gathering, TokenGatherer

TAKE_WAITING = "take_waiting_tokens"  # the call's name


def set_scheduler(config: VllmConfig) -> None:
    """Choose the scheduler that gathers, unless another one is configured."""
    scheduling = config.scheduler_config
    if scheduling.scheduler_cls is None:
        kind = GatheringAsyncScheduler if scheduling.async_scheduling else GatheringScheduler
        scheduling.scheduler_cls = f"{kind.__module__}.{kind.__name__}"


class GatheringScheduler(Scheduler):
    """Scheduler whose outputs omit the hidden tokens that wait for others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gatherers: dict[str, TokenGatherer] = {}
        self._last_stats = 0.0

    def add_request(self, request: Request) -> None:
        """Add a request, and a gatherer if it says how its tokens wait."""
        super().add_request(request)
        params = request.sampling_params
        values = params.extra_args.get(GATHER_KEY) if params and params.extra_args else None
        if values is not None:
            self._gatherers[request.request_id] = TokenGatherer(Gathering.from_dict(values))

    def take_waiting(self, request_id: str) -> list[int]:
        """Return the tokens of a request that wait, for a reader that leaves."""
        gatherer = self._gatherers.get(request_id)
        return [] if gatherer is None else gatherer.take_waiting()

    def finish_requests(
        self, request_ids: str | Iterable[str] | None, finished_status: RequestStatus
    ) -> list[Request]:
        """End requests from outside; what still waits of theirs was taken before, or is lost."""
        finished: list[Request] = super().finish_requests(request_ids, finished_status)
        for request in finished:
            self._gatherers.pop(request.request_id, None)
        return finished

    def update_from_output(self, *args: Any, **kwargs: Any) -> dict[int, EngineCoreOutputs]:
        """Return the outputs of a step without those that wait."""
        outputs: dict[int, EngineCoreOutputs] = super().update_from_output(*args, **kwargs)
        if not self._gatherers:
            return outputs
        for client_outputs in outputs.values():
            client_outputs.outputs = [
                output for output in client_outputs.outputs if self._is_handed_over(output)
            ]
        return {client: part for client, part in outputs.items() if _has_content(part)}

    def make_stats(self, *args: Any, **kwargs: Any) -> SchedulerStats | None:
        """Return the statistics, which accumulate, not more often than unwatched tokens.

        With drafts, or whatever else is counted by the step, they come with each; at once too when
        the engine becomes idle, for there is no later step.
        """
        counts_steps = any(args) or any(kwargs.values())
        if self._gatherers and not counts_steps and self.has_unfinished_requests():
            now = time.monotonic()
            if now < self._last_stats + UNWATCHED_SECONDS:
                return None
            self._last_stats = now
        return super().make_stats(*args, **kwargs)

    def _is_handed_over(self, output: EngineCoreOutput) -> bool:
        """Return whether `output` leaves now, with the tokens that have waited for it."""
        gatherer = self._gatherers.get(output.request_id)
        if gatherer is None:
            return True
        is_last = output.finish_reason is not None
        may_wait = not is_last and not _has_news(output)
        token_ids = gatherer.push(output.new_token_ids, may_wait=may_wait)
        if is_last:
            del self._gatherers[output.request_id]
        if token_ids is None:
            return False
        output.new_token_ids = list(token_ids)
        return True


class GatheringAsyncScheduler(GatheringScheduler, AsyncScheduler):
    """The same for vLLM's asynchronous scheduling."""


def answer_take_waiting() -> None:
    """Let this engine's process answer :data:`TAKE_WAITING`, one of vLLM's "utility" calls."""
    setattr(EngineCore, TAKE_WAITING, _take_waiting)


def _take_waiting(core: EngineCore, request_id: str) -> list[int]:
    scheduler = core.scheduler
    return scheduler.take_waiting(request_id) if isinstance(scheduler, GatheringScheduler) else []


def _has_news(output: EngineCoreOutput) -> bool:
    """Return whether `output` reports anything but tokens, such as a preemption."""
    return bool(
        output.events
        or output.prefill_stats
        or output.kv_transfer_params
        or output.ec_transfer_params
        or output.routed_experts is not None
        or output.new_logprobs is not None
        or output.new_sampling_mask is not None
    )


def _has_content(outputs: EngineCoreOutputs) -> bool:
    """Return whether the API process has to read `outputs`."""
    return bool(
        outputs.outputs
        or outputs.scheduler_stats
        or outputs.finished_requests
        or outputs.utility_output
    )
