"""Fair turns at a resource of little concurrency, such as the single thread of a tokenizer.

Callers with much work wait behind callers with little: each caller has a few entries at most in
the common queue, and the rest of its work waits in its own queue. Knows nothing of the work.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar
from weakref import WeakValueDictionary

ResultT = TypeVar("ResultT")


class Turns:
    """Runs at most `width` pieces of work at a time.

    A caller without work here waits for at most `width` pieces of each other caller, in addition
    to those already running, however many the others have submitted.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._common = asyncio.Semaphore(width)
        # One entry for each caller that has work here now.
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def take(self, caller: str, begin: Callable[[], asyncio.Future[ResultT]]) -> ResultT:
        """Call `begin` when it is `caller`'s turn and return the result of the work it starts.

        If cancelled while waiting, it gives up its place in the queue. If cancelled later, the
        work continues and keeps its turn until it ends: a thread cannot be stopped, and a client
        must not gain an advantage by disconnecting.
        """
        own = self._own.setdefault(caller, asyncio.Semaphore(self._width))
        with ExitStack() as turn:
            for semaphore in (own, self._common):
                await semaphore.acquire()
                turn.callback(semaphore.release)
            work = begin()
            end_turn = turn.pop_all().close
        work.add_done_callback(lambda _: end_turn())
        return await asyncio.shield(work)
