"""The time limit of a whole request, from its first byte on, including its wait in the queue.

:func:`enforce_deadline` raises when the time is up and closes its source, which ends the engine's
work. Does not know what is generated, nor for whom.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from server.account.account import RequestAccount
from server.admission.refusals import DeadlineError

ItemT = TypeVar("ItemT")


def compute_remaining_seconds(account: RequestAccount, limit: float | None) -> float | None:
    """Return the seconds that the request may still take, at least 0.

    None if `limit` (in seconds) is None: no limit.
    """
    return None if limit is None else max(0.0, account.started + limit - time.monotonic())


async def enforce_deadline(
    items: AsyncGenerator[ItemT, None], account: RequestAccount, limit: float | None
) -> AsyncGenerator[ItemT, None]:
    """Yield `items` until the request has taken `limit` seconds (None: no limit).

    Raises:
        DeadlineError: the time was up before `items` ended.
    """
    async with aclosing(items):
        while True:
            try:
                async with asyncio.timeout(compute_remaining_seconds(account, limit)) as timer:
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if limit is None or not timer.expired():
                    raise
                raise DeadlineError(limit) from None
            yield item
