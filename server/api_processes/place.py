"""The place of one of several API processes: what it shares with the others on this machine.

All share a folder that only their user can read. Starts no process and asks none.
"""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPEN_POLL_SECONDS = 0.05
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class ProcessPlace:
    """Place `number`, from 0, of `count`. `num_restarts` processes have died there before."""

    number: int
    count: int
    folder: Path
    num_restarts: int = 0

    @property
    def others(self) -> Iterator[int]:
        """The numbers of all other places."""
        return (number for number in range(self.count) if number != self.number)

    @property
    def is_open(self) -> bool:
        """True once a process of this server has been ready."""
        return self._mark.exists()

    @property
    def listens_at_once(self) -> bool:
        """True if this process is the one to answer while no process has been ready.

        A process that is started later would answer 503 while it loads, and the others would not.
        """
        return self.number == 0 and not self.is_open

    def get_socket_path(self, number: int) -> Path:
        """Return the path of the socket on which the process at `number` answers the others."""
        return self.folder / f"{number}.sock"

    def open_socket(self) -> socket.socket:
        """Return the socket on which this process answers the others, in place of an earlier one's.

        Raises:
            OSError: it cannot be created, for example because the path is too long.
        """
        path = self.get_socket_path(self.number)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        # From now on connections wait, and are not refused.
        listener.listen(BACKLOG)
        return listener

    async def wait_open(self) -> None:
        """Wait until a process of this server is ready, unless this one is to be the first."""
        if self.number == 0:
            self._mark.touch()
        # A file, since whoever dies in the middle of this leaves no lock behind.
        while not self.is_open:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(OPEN_POLL_SECONDS)

    @property
    def _mark(self) -> Path:
        return self.folder / "open"
