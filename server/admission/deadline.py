"""The longest that a whole request may take, from its first byte on, its wait included.

Whoever reads through :func:`in_time` is told when the time is up; what it read from is closed
then, which ends the engine's work. Does not know what is generated, nor for whom.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from server.account.account import RequestAccount
from server.admission.refusals import DeadlineError

ItemT = TypeVar("ItemT")


def time_left(account: RequestAccount, limit: float | None) -> float | None:
    """Seconds that the request may still take, 0 at least; None: any (`limit` likewise)."""
    return None if limit is None else max(0.0, account.started + limit - time.monotonic())


async def in_time(
    items: AsyncGenerator[ItemT, None], account: RequestAccount, limit: float | None
) -> AsyncGenerator[ItemT, None]:
    """`items` as they come, until the request has taken `limit` seconds (None: any time).

    Raises:
        DeadlineError: the time was up before `items` had ended.
    """
    async with aclosing(items):
        while True:
            try:
                async with asyncio.timeout(time_left(account, limit)) as timer:
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if limit is None or not timer.expired():
                    raise
                raise DeadlineError(limit) from None
            yield item
