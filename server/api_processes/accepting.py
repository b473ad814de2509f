"""Accepts connections on a socket that several processes share, evenly.

An event loop's own server accepts all that wait: whichever process wakes first would get a whole
burst. Here a process takes one at a time, and leaves it to another for a moment if that one has
fewer. Knows no protocol.
"""

import asyncio
import errno
import logging
import mmap
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from server.api_processes.place import ProcessPlace

# Enough for an idle process to wake, and nothing beside the time that a reply takes.
YIELD_SECONDS = 0.002
EXHAUSTED_SECONDS = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (BlockingIOError, InterruptedError, ConnectionAbortedError)
_FORM = struct.Struct("I")
logger = logging.getLogger(__name__)


class ConnectionCounts:
    """Number of open connections of each process, in memory that all share.

    Each writes its own only, so they need no lock.
    """

    def __init__(self, place: ProcessPlace) -> None:
        self._place = place
        size = place.count * _FORM.size
        file = os.open(place.folder / "connections", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, size)
            self._memory = mmap.mmap(file, size)
        finally:
            os.close(file)

    def write(self, num_open: int) -> None:
        """Write how many connections this process has."""
        # 0, as at the beginning: it does not listen.
        self._put(self._place.number, num_open + 1)

    def clear(self, number: int) -> None:
        """Note that the process at `number` does not listen."""
        self._put(number, 0)

    def find_fewest(self) -> int | None:
        """Return the fewest connections that another process has; None: no other listens."""
        counts = (self._get(number) for number in self._place.others)
        return min((count - 1 for count in counts if count), default=None)

    def close(self) -> None:
        """Note that this process does not listen."""
        self.clear(self._place.number)

    def _get(self, number: int) -> int:
        return int(_FORM.unpack_from(self._memory, number * _FORM.size)[0])

    def _put(self, number: int, value: int) -> None:
        _FORM.pack_into(self._memory, number * _FORM.size, value)


class FairAcceptor:
    """Accepts on `listener` from :meth:`start` on until :meth:`close`.

    `connect` serves a connection; `count_open` returns how many this process has.
    """

    def __init__(
        self,
        listener: socket.socket,
        counts: ConnectionCounts,
        connect: Callable[[socket.socket], Coroutine[Any, Any, object]],
        count_open: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._counts = counts
        self._connect = connect
        self._count_open = count_open
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._counts.write(self._count_open())
        self._listen()

    def close(self) -> None:
        """Accept no further connection; the others do."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._counts.close()

    async def wait_closed(self) -> None:
        """Wait until all that were accepted are served."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._handle_ready)

    def _handle_ready(self) -> None:
        num_open = self._count_open() + len(self._connecting)
        self._counts.write(num_open)
        fewest = self._counts.find_fewest()
        if fewest is not None and fewest < num_open:
            self._stop_for(YIELD_SECONDS, self._accept_after_all)
        else:
            self._accept()

    def _accept_after_all(self) -> None:
        self._listen()
        self._accept()

    def _stop_for(self, seconds: float, resume: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, resume)

    def _accept(self) -> None:
        """Accept one connection, unless another process has."""
        try:
            accepted, _ = self._listener.accept()
        except _GONE:
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            logger.error("no connection can be accepted: %s", error.strerror)
            self._stop_for(EXHAUSTED_SECONDS, self._listen)
            return
        accepted.setblocking(False)
        # Without it the second piece of a response waits 40 ms for the client's delayed ACK.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.ensure_future(self._connect(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
