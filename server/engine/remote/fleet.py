"""The engines of one model: which are ready, which is asked next, when each is probed.

Knows no requests.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from server.engine.remote.errors import EngineLostError
from server.engine.remote.probe import Probe, ProbeError
from server.engine.remote.upstream import Upstream, UpstreamState
from server.errors.internal import NoEngineError

# A ready engine is asked again now and then: behind its URL may be another one.
READY_SECONDS = 60.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 10.0
PROBE_SECONDS = 30.0  # the longest that an answer is waited for
MAX_PROBES = 32  # at a time

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Schedule:
    """Time of an engine's next probe, in seconds of the event loop's clock."""

    due: float = 0.0
    num_failures: int = 0


class Fleet:
    """Engines, watched from :meth:`start` on until :meth:`close`."""

    def __init__(self, upstreams: Sequence[Upstream], probe: Probe) -> None:
        self.upstreams = tuple(upstreams)
        self._probe = probe
        self._schedules = {upstream: _Schedule() for upstream in self.upstreams}
        self._limit = asyncio.Semaphore(MAX_PROBES)
        self._is_due = asyncio.Event()
        self._has_ready = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def not_ready_reason(self) -> str | None:
        """Reason why no engine can be asked, without addresses; None: one can."""
        if self._has_ready.is_set():
            return None
        reasons = dict.fromkeys(upstream.reason for upstream in self.upstreams)
        return "no engine is ready: " + "; ".join(reasons)

    def start(self) -> None:
        """Begin to probe."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop probing."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def choose(self, lost: Upstream | None = None) -> Upstream | None:
        """Return the ready engine with the fewest requests; None: there is none.

        `lost` and those that have just lost another request are asked last: what is at their URL
        may be a router, which knows of others.
        """
        ready = [upstream for upstream in self.upstreams if upstream.is_ready]
        return min(
            ready,
            key=lambda one: (one is lost, one.is_suspect, one.num_open, random.random()),
            default=None,
        )

    async def wait_ready(self, seconds: float, lost: Upstream | None = None) -> Upstream:
        """Return an engine to ask, as soon as there is one.

        Raises:
            NoEngineError: none was ready in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while (upstream := self.choose(lost)) is None:
                    await self._has_ready.wait()
                return upstream
        except TimeoutError:
            raise NoEngineError(self.not_ready_reason or "no engine is ready") from None

    def note_lost(self, upstream: Upstream, error: EngineLostError) -> None:
        """Have an engine that lost a request probed at once.

        Nobody listens at its address, or it is none of ours: no further request is sent to it
        until then.
        """
        upstream.is_suspect = True
        if error.is_final:
            self._set_failed(upstream, str(error))
        schedule = self._schedules[upstream]
        if not schedule.num_failures:
            schedule.due = 0.0
            self._is_due.set()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._is_due.clear()
            now = loop.time()
            due = [one for one in self.upstreams if self._schedules[one].due <= now]
            await asyncio.gather(*map(self._ask, due))
            soonest = min(schedule.due for schedule in self._schedules.values())
            try:
                async with asyncio.timeout(max(0.0, soonest - loop.time())):
                    await self._is_due.wait()
            except TimeoutError:
                pass

    async def _ask(self, upstream: Upstream) -> None:
        schedule, loop = self._schedules[upstream], asyncio.get_running_loop()
        upstream.is_suspect = False
        try:
            async with self._limit, asyncio.timeout(PROBE_SECONDS):
                await self._probe.ask(upstream)
        except (ProbeError, TimeoutError) as error:
            wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**schedule.num_failures)
            schedule.num_failures += 1
            schedule.due = loop.time() + wait * random.uniform(0.75, 1.0)
            self._set_failed(upstream, str(error) or "the engine does not answer the probe")
            return
        schedule.num_failures, schedule.due = 0, loop.time() + READY_SECONDS
        if not upstream.is_ready:
            logger.info("the engine at %s is ready", upstream.url)
        upstream.state, upstream.reason = UpstreamState.READY, ""
        self._has_ready.set()

    def _set_failed(self, upstream: Upstream, reason: str) -> None:
        if upstream.is_ready or upstream.reason != reason:
            logger.warning("the engine at %s is not ready: %s", upstream.url, reason)
        upstream.state, upstream.reason = UpstreamState.FAILED, reason
        if not any(one.is_ready for one in self.upstreams):
            self._has_ready.clear()
