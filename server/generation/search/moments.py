"""Moments at which a running search lets its reader look at it.

A search returns once, at its end. Who wants to see how far it is takes these moments; they come
only when something was written. Does not know what is searched for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any


class Moments:
    """Moments of one search. `is_due` says whether one has come, after something was written."""

    def __init__(self, is_due: Callable[[], bool]) -> None:
        self._is_due = is_due
        self._woken = asyncio.Event()

    def note(self) -> None:
        """Take note that something was written."""
        if not self._woken.is_set() and self._is_due():
            self._woken.set()

    async def until(self, search: "asyncio.Task[Any]") -> AsyncGenerator[None, None]:
        """Yield at each moment until `search` is done. Closing early cancels it."""
        search.add_done_callback(lambda _: self._woken.set())
        try:
            while True:
                await self._woken.wait()
                if search.done():
                    return
                self._woken.clear()
                yield
        finally:
            search.cancel()
            await asyncio.gather(search, return_exceptions=True)  # until its requests have ended
