"""A program in a pseudo-terminal, and the screen that a person would see.

Knows no program; the screen is that of pyte, a terminal emulator.
"""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyte
import pytest

# A slow machine takes long to import what a terminal needs.
WAIT_SECONDS = 90.0
END_SECONDS = 60.0
ALT_ENTER, CTRL_C, CTRL_D, TAB, UP = "\x1b\r", "\x03", "\x04", "\t", "\x1b[A"
# From util-linux: a session of its own, whose controlling terminal is standard input.
IN_A_SESSION = ("setsid", "--ctty")


@dataclass
class PseudoTerminal:
    """A running program; `raw` is all that it wrote."""

    process: subprocess.Popen[bytes]
    descriptor: int
    screen: pyte.HistoryScreen
    raw: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    @property
    def text(self) -> str:
        """What scrolled away and what is on the screen, without spaces at the ends of lines."""
        width = self.screen.columns
        above = [
            "".join(line[column].data for column in range(width))
            for line in self.screen.history.top
        ]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()

    def type(self, text: str, end: str = "\r") -> None:
        """Type `text` and, by default, Enter."""
        os.write(self.descriptor, (text + end).encode())

    def paste(self, raw: bytes) -> None:
        """Paste bytes, as a terminal does that was asked for brackets around them."""
        os.write(self.descriptor, b"\x1b[200~" + raw + b"\x1b[201~")

    def wait_for(self, *texts: str, count: int = 1) -> str:
        """Return the text once it has each of `texts` at least `count` times."""
        return self.wait_until(lambda text: all(text.count(wanted) >= count for wanted in texts))

    def wait_until(self, is_there: Callable[[str], bool]) -> str:
        """Return the text once `is_there` is true of it; fail the test when it never is."""
        until = time.monotonic() + WAIT_SECONDS
        while not is_there(self.text):
            if time.monotonic() > until or not self._read(until):
                pytest.fail(f"the screen has not what was waited for:\n{self.text}")
        return self.text

    def wait_end(self) -> int:
        """Return the exit status."""
        until = time.monotonic() + WAIT_SECONDS
        while self._read(until):
            pass
        return self.process.wait(END_SECONDS)

    def _read(self, until: float) -> bool:
        """Read what there is, or wait for it; return False at the end of the program."""
        ready, _, _ = select.select([self.descriptor], [], [], max(until - time.monotonic(), 0))
        if not ready:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data
        self._stream.feed(data)
        self._answer(data)
        return bool(data)

    def _answer(self, data: bytes) -> None:
        """Answer the request for the cursor's place, as terminals do."""
        for _ in range(data.count(b"\x1b[6n")):
            cursor = self.screen.cursor
            os.write(self.descriptor, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())


@contextmanager
def started_in_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    columns: int = 80,
    lines: int = 24,
) -> Iterator[PseudoTerminal]:
    """Start `command`; it is ended at the end."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [*IN_A_SESSION, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, lines, history=10_000)
    try:
        yield PseudoTerminal(process, ours, screen)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
