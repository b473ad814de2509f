"""A reply as it comes, for files, pipes and terminals that can do no more.

A file or pipe gets the text unchanged; a terminal gets it without control characters, thoughts dim.
"""

from typing import TextIO

from clients.chat.turn import Progress
from clients.control_characters import without_control_characters

DIM, NORMAL = "\x1b[2m", "\x1b[0m"


class PlainView:
    """Writes pieces of a reply as they arrive; a blank line separates thought and answer."""

    def __init__(self, file: TextIO, notices: TextIO) -> None:
        self._file = file
        self._notices = notices
        self._is_terminal = file.isatty()
        self._was_thought: bool | None = None
        self._last = "\n"

    def show_progress(self, progress: Progress) -> None:
        """See :class:`clients.chat.view.ReplyView`: nothing that would have to be erased."""

    def show_text(self, text: str, *, is_thought: bool) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        if self._was_thought is not None and self._was_thought != is_thought:
            self._put("\n\n" if self._last != "\n" else "\n")
        self._was_thought = is_thought
        if self._is_terminal:
            text = without_control_characters(text)
        is_dim = is_thought and self._is_terminal and bool(text)
        self._file.write(DIM if is_dim else "")
        self._put(text)
        self._file.write(NORMAL if is_dim else "")
        self._file.flush()

    def show_notice(self, notice: str) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        self.finish()
        self._notices.write(f"{notice}\n")
        self._notices.flush()

    def finish(self) -> None:
        """End the current line, if something was written on it."""
        if self._last != "\n":
            self._put("\n")

    def _put(self, text: str) -> None:
        if text:
            self._file.write(text)
            self._last = text[-1]
        self._file.flush()
