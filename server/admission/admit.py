"""Letting a request in: its quotas are reserved, and a place in the engine is waited for.

Both are given back at the account's end. Every endpoint that generates calls this after its
checks and before its response begins, so that a refusal is a status and not an event.
"""

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.state import ServerState


async def admit(state: ServerState, account: RequestAccount, demand: Demand) -> None:
    """Return when the request may go to the engine.

    Raises:
        ApiError: 429, a quota is used up or the queue is full.
    """
    await state.quotas.reserve(account, demand)
