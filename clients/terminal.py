"""Model output on a terminal: dim thoughts, no control characters.

A reply may hold escape sequences that move the cursor or set the title; a terminal must not
see them. Files and pipes get the text unchanged, without colours.
"""

import re
from typing import TextIO

DIM, NORMAL = "\x1b[2m", "\x1b[0m"
# C0 and C1 control characters other than tab and line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal:
    """Writes pieces of a reply as they arrive; a blank line separates thought and answer."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_terminal = file.isatty()
        self._was_dim: bool | None = None
        self._last = "\n"

    def write(self, text: str, *, is_dim: bool) -> None:
        """Write one piece at once."""
        if self._was_dim is not None and self._was_dim != is_dim:
            self._put("\n\n" if self._last != "\n" else "\n")
        self._was_dim = is_dim
        if not self._is_terminal:
            self._put(text)
            return
        clean = _CONTROL.sub("", text)
        if clean:
            self._file.write(DIM if is_dim else "")
            self._put(clean)
            self._file.write(NORMAL if is_dim else "")
        self._file.flush()

    def end_line(self) -> None:
        """End the current line, if something was written on it."""
        if self._last != "\n":
            self._put("\n")

    def _put(self, text: str) -> None:
        if text:
            self._file.write(text)
            self._last = text[-1]
        self._file.flush()
