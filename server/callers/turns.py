"""Fair turns at something that does little at a time, such as the one thread of a tokenizer.

Who asks for much waits behind who asks for little: a caller stands in the common queue a few
times at most, and with the rest of its work in a queue of its own. Knows nothing of the work.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar
from weakref import WeakValueDictionary

ResultT = TypeVar("ResultT")


class Turns:
    """At most `width` pieces of work at a time.

    Whoever has no work here waits for `width` pieces of each other caller at most, beside those
    that are being done, however many they have asked for.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._common = asyncio.Semaphore(width)
        # Of whoever has work here now.
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def take(self, caller: str, begin: Callable[[], asyncio.Future[ResultT]]) -> ResultT:
        """The result of the work that `begin` begins when it is `caller`'s turn.

        Cancelled while it waits, it gives up its place. Later the work goes on, and the turn
        lasts as long: a thread cannot be stopped, and who hangs up must not get ahead by it.
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
