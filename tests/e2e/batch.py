"""Many requests asked at once: the engine computes them together, in a fraction of the time.

Each test then looks at its own reply. What a law says must hold whatever else is in the batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

Case = TypeVar("Case", bound=Hashable)
Reply = TypeVar("Reply")


class Replies(Generic[Case, Reply]):
    """The reply to each case, or what went wrong with it."""

    def __init__(self, requests: Mapping[Case, Callable[[], Awaitable[Reply]]]) -> None:
        """Ask for all, and wait for all."""

        async def ask_all() -> list[Reply | BaseException]:
            asked = (request() for request in requests.values())
            return await asyncio.gather(*asked, return_exceptions=True)

        self._found = dict(zip(requests, asyncio.run(ask_all()), strict=True))

    def __getitem__(self, case: Case) -> Reply:
        found = self._found[case]
        if isinstance(found, BaseException):
            raise found
        return found
