"""Admits a request: reserves its quotas, and waits for a place in the engine.

Both are released at the account's end. Prepared work can begin only after :func:`admit`, so no
endpoint can skip it. A request is admitted before its response begins, so a refusal is an HTTP
status, not an event. Does not know what the work is.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.account.account import RequestAccount
from server.admission.deadline import compute_remaining_seconds
from server.admission.demand import Demand, sum_demands
from server.admission.queue import Ticket
from server.admission.refusals import DeadlineError
from server.engine.protocol import Engine
from server.errors.internal import EngineDeadError
from server.settings.settings import ServerSettings
from server.state import Services

WorkT = TypeVar("WorkT")
ExtraT = TypeVar("ExtraT")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[WorkT]):
    """Work that is checked and planned, but not yet admitted. `demand` is its maximum demand.

    `lowered_by` says how far its priority is below its key's.
    """

    demand: Demand
    _work: WorkT
    lowered_by: int = 0

    def describe(self) -> WorkT:
        """Return the work, to be described but not begun."""
        return self._work

    def with_extra(self, extra: ExtraT) -> "Prepared[tuple[ExtraT, WorkT]]":
        """Return the same work, paired with `extra`."""
        return Prepared(self.demand, (extra, self._work), self.lowered_by)


def join_prepared(parts: Sequence[Prepared[WorkT]]) -> Prepared[list[WorkT]]:
    """Return several pieces of work as one, to be admitted together."""
    demand = sum_demands([part.demand for part in parts])
    lowered_by = max(part.lowered_by for part in parts)
    return Prepared(demand, [part._work for part in parts], lowered_by)


@dataclass(frozen=True, slots=True)
class Reserved(Generic[WorkT]):
    """Work that has its quotas and its place in the queue, and waits for the engine.

    `planned` is the work, to be described; it begins after :meth:`wait` only.
    """

    planned: WorkT
    _services: Services
    _account: RequestAccount
    _ticket: Ticket

    @property
    def is_admitted(self) -> bool:
        """True if the work may begin at once."""
        return self._ticket.is_admitted

    async def wait(self) -> WorkT:
        """Wait until the work may use the engine, and return it.

        Raises:
            ApiError: 429 if the wait is too long; 504 if the request's deadline has passed.
            EngineDeadError: the engine died meanwhile.
        """
        engine = self._services.slot.engine
        if not self.is_admitted and engine is not None:
            await _wait(self._services.settings, self._account, self._ticket, engine)
        return self.planned


async def reserve(
    services: Services, account: RequestAccount, prepared: Prepared[WorkT]
) -> Reserved[WorkT]:
    """Reserve the request's quotas and a place in the queue.

    Raises:
        ApiError: 429 if a quota is used up or the queue is full.
        LedgerUnavailableError: 503, what it uses could not be recorded.
    """
    if services.ledger is not None:
        services.ledger.check_open()
    demand = prepared.demand
    ticket = services.admission.join(account.key, demand.num_engine_requests, prepared.lowered_by)
    account.at_end.callback(ticket.leave)
    await services.quotas.reserve(account, demand)
    return Reserved(prepared._work, services, account, ticket)


async def admit(services: Services, account: RequestAccount, prepared: Prepared[WorkT]) -> WorkT:
    """Wait until the request may use the engine, and return its work.

    Raises:
        ApiError: 429 if a quota is used up, the queue is full or the wait is too long; 504 if the
            request's deadline has passed.
        LedgerUnavailableError: 503, what it uses could not be recorded.
        EngineDeadError: the engine died while the request waited.
    """
    return await (await reserve(services, account, prepared)).wait()


async def _wait(
    settings: ServerSettings, account: RequestAccount, ticket: Ticket, engine: Engine
) -> None:
    """Wait until the request is admitted, for at most the queue timeout and the remaining time.

    Leaves the queue if the wait ends without admission.
    """
    longest = settings.queue_timeout_seconds
    left = compute_remaining_seconds(account, settings.max_request_seconds)
    seconds = longest if left is None else min(longest, left)
    calling = asyncio.create_task(ticket.wait_admitted())
    dying = asyncio.create_task(engine.wait_dead())
    try:
        await asyncio.wait((calling, dying), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if calling.done():
            return calling.result()
    finally:
        if not ticket.is_admitted:
            ticket.leave()
        for task in (calling, dying):
            task.cancel()
        await asyncio.gather(calling, dying, return_exceptions=True)
    if not engine.is_alive:
        raise EngineDeadError("the engine has died")
    if seconds < longest:
        assert settings.max_request_seconds is not None  # it has shortened the wait
        raise DeadlineError(settings.max_request_seconds)
    raise ticket.to_timeout_error(longest)
