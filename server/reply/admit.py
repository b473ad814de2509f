"""Letting a request in: its quotas are reserved, and a place in the engine is waited for.

Both are given back at the account's end. Every endpoint that generates calls this after its
checks and before its response begins, so that a refusal is a status and not an event.
"""

import asyncio

from server.account.account import RequestAccount
from server.admission.deadline import time_left
from server.admission.demand import Demand
from server.admission.queue import Ticket
from server.admission.refusals import DeadlineError
from server.engine.protocol import Engine
from server.errors.internal import EngineDeadError
from server.state import ServerState


async def admit(state: ServerState, account: RequestAccount, demand: Demand) -> None:
    """Return when the request may go to the engine.

    Raises:
        ApiError: 429, a quota is used up, the queue is full or the wait too long; 504.
        EngineDeadError: the engine has died meanwhile.
    """
    ticket = state.admission.join(account.key, demand.num_engine_requests)
    account.at_end.callback(ticket.leave)
    await state.quotas.reserve(account, demand)
    if not ticket.is_admitted and state.engine is not None:
        await _wait(state, account, ticket, state.engine)


async def _wait(
    state: ServerState, account: RequestAccount, ticket: Ticket, engine: Engine
) -> None:
    """Wait, but no longer than anyone would profit from it; who gives up leaves the line."""
    settings = state.settings
    longest = settings.queue_timeout_seconds
    left = time_left(account, settings.max_request_seconds)
    seconds = longest if left is None else min(longest, left)
    calling = asyncio.create_task(ticket.wait_called())
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
        assert settings.max_request_seconds is not None  # it is what has cut the wait
        raise DeadlineError(settings.max_request_seconds)
    raise ticket.timed_out(longest)
