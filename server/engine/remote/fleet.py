"""The engines of one model: which are ready, which is asked next, when each is probed.

Knows no requests.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.engine.protocol import FleetCounts
from server.engine.remote.errors import EngineLostError, LossCause
from server.engine.remote.probe import Probe, ProbeError
from server.engine.remote.upstream import Upstream, UpstreamState
from server.errors.internal import NoEngineError

# A ready engine is asked again now and then: behind its URL may be another one.
READY_SECONDS = 60.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 10.0
PROBE_SECONDS = 30.0  # the longest that an answer is waited for
MAX_PROBES = 32  # at a time
# Ready engines, drawn at random, whose loads are compared: a request costs the same in a fleet of
# any size. The least loaded of so many is nearly the least loaded of all.
MAX_COMPARED = 16

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Schedule:
    """Time of an engine's next probe: after some seconds, or sooner once `is_due` is set."""

    seconds: float = 0.0
    num_failures: int = 0
    num_lost: int = 0  # requests that were lost there
    is_due: asyncio.Event = field(default_factory=asyncio.Event)


class Fleet:
    """Engines, watched from :meth:`start` on until :meth:`close`.

    Invariant: `_choices` has the engines that are ready, and have lost no request since they were.
    """

    def __init__(self, upstreams: Sequence[Upstream], probe: Probe) -> None:
        self.upstreams = tuple(upstreams)
        self.num_lost = Counter[LossCause]()  # requests
        self._probe = probe
        self._schedules = {upstream: _Schedule() for upstream in self.upstreams}
        self._limit = asyncio.Semaphore(MAX_PROBES)
        self._num_ready = 0
        self._choices: list[Upstream] = []
        self._has_choice = asyncio.Event()
        self._watching: list[asyncio.Task[None]] = []

    @property
    def num_ready(self) -> int:
        """Number of engines that passed their last probe."""
        return self._num_ready

    @property
    def counts(self) -> FleetCounts:
        """Numbers for an operator."""
        num_lost = {str(cause): count for cause, count in self.num_lost.items()}
        return FleetCounts(len(self.upstreams), self._num_ready, num_lost)

    @property
    def not_ready_reason(self) -> str | None:
        """Reason why no engine can be asked, without addresses; None: one can."""
        if self._num_ready:
            return None
        reasons = dict.fromkeys(upstream.reason for upstream in self.upstreams)
        return "no engine is ready: " + "; ".join(reasons)

    def start(self) -> None:
        """Begin to probe."""
        self._watching = [asyncio.create_task(self._watch(one)) for one in self.upstreams]

    async def close(self) -> None:
        """Stop probing."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def choose(self, lost: Upstream | None = None) -> Upstream | None:
        """Return the engine with the fewest requests of some that can be asked; None: none can.

        `lost` is asked last: what is at its URL may be a router, which knows of others.
        """
        choices = self._choices
        if len(choices) > MAX_COMPARED:
            choices = random.sample(choices, MAX_COMPARED)
        others = [one for one in choices if one is not lost] or choices
        if not others:
            return None
        fewest = min(one.num_open for one in others)
        return random.choice([one for one in others if one.num_open == fewest])

    async def wait_ready(self, seconds: float, lost: Upstream | None = None) -> Upstream:
        """Return an engine to ask, as soon as there is one.

        Raises:
            NoEngineError: none was ready in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while (upstream := self.choose(lost)) is None:
                    self._has_choice.clear()
                    await self._has_choice.wait()
                return upstream
        except TimeoutError:
            raise NoEngineError(self.not_ready_reason or "no engine is ready") from None

    def note_lost(self, upstream: Upstream, error: EngineLostError) -> None:
        """Have an engine that lost a request probed at once.

        Unless the request may be the cause, no further one is sent there until then: the next ones
        would be lost too, and use up their migrations.
        """
        self.num_lost[error.cause] += 1
        schedule = self._schedules[upstream]
        if error.is_of_engine:
            schedule.num_lost += 1
            if upstream.is_ready and not upstream.is_suspect:
                logger.warning("the engine at %s has lost a request: %s", upstream.url, error)
            upstream.is_suspect = True
        if error.is_final:
            self._set_failed(upstream, str(error))
        self._update_choices(upstream)
        if not schedule.num_failures:
            schedule.is_due.set()

    async def _watch(self, upstream: Upstream) -> None:
        """Probe an engine again and again."""
        schedule = self._schedules[upstream]
        while True:
            schedule.is_due.clear()
            try:
                async with self._limit:
                    await self._ask(upstream, schedule)
            except Exception:  # whatever it is, the engine must be asked again
                logger.exception("the probe of the engine at %s failed", upstream.url)
                self._note_failed(upstream, schedule, "the probe failed")
            try:
                async with asyncio.timeout(schedule.seconds):
                    await schedule.is_due.wait()
            except TimeoutError:
                pass

    async def _ask(self, upstream: Upstream, schedule: _Schedule) -> None:
        num_lost = schedule.num_lost
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe.ask(upstream)
        except ProbeError as error:
            self._note_failed(upstream, schedule, str(error))
            return
        except TimeoutError:
            if not upstream.is_ready or upstream.is_suspect or not upstream.num_open:
                self._note_failed(upstream, schedule, "it does not answer the probe")
                return
            # It answers others: the probe waits in its queue.
        schedule.num_failures = 0
        schedule.seconds = READY_SECONDS * random.uniform(0.75, 1.0)
        if schedule.num_lost == num_lost:
            upstream.is_suspect = False
        self._set_ready(upstream)

    def _note_failed(self, upstream: Upstream, schedule: _Schedule, reason: str) -> None:
        wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(schedule.num_failures, 10))
        schedule.num_failures += 1
        schedule.seconds = wait * random.uniform(0.75, 1.0)
        self._set_failed(upstream, reason)

    def _set_ready(self, upstream: Upstream) -> None:
        if not upstream.is_ready:
            logger.info("the engine at %s is ready", upstream.url)
            self._num_ready += 1
        upstream.state, upstream.reason = UpstreamState.READY, ""
        self._update_choices(upstream)

    def _set_failed(self, upstream: Upstream, reason: str) -> None:
        if upstream.is_ready:
            self._num_ready -= 1
        if upstream.is_ready or upstream.reason != reason:
            logger.warning("the engine at %s is not ready: %s", upstream.url, reason)
        upstream.state, upstream.reason = UpstreamState.FAILED, reason
        self._update_choices(upstream)

    def _update_choices(self, upstream: Upstream) -> None:
        is_choice = upstream.is_ready and not upstream.is_suspect
        if is_choice and upstream not in self._choices:
            self._choices.append(upstream)
        if not is_choice and upstream in self._choices:
            self._choices.remove(upstream)
        if self._choices:
            self._has_choice.set()
