"""Output of a conversation: views of replies, and lines between them.

On a terminal that can move its cursor, replies are drawn; everywhere else they are written as they
come. Colours follow ``NO_COLOR``. Knows no HTTP.
"""

import os
import sys
from typing import TYPE_CHECKING, TextIO

from clients.chat.plain_view import PlainView
from clients.chat.view import ReplyView
from clients.control_characters import to_line, without_control_characters

if TYPE_CHECKING:
    from rich.console import Console


class Screen:
    """Answers go to standard output, all else to standard error."""

    def __init__(self, *, is_plain: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            _replace_what_it_cannot_encode(stream)
        can_draw = not is_plain and os.environ.get("TERM") not in ("dumb", "unknown")
        self._console = _make_console(sys.stdout) if can_draw else None
        self._notes = _make_console(sys.stderr) if self._console else None

    @property
    def is_live(self) -> bool:
        """True if replies are drawn while they come."""
        return self._console is not None

    def make_view(self) -> ReplyView:
        """Return the view of a reply that begins now."""
        if self._console is None:
            return PlainView(sys.stdout, sys.stderr)
        from clients.chat.live_view import LiveView

        return LiveView(self._console)

    def say(self, text: str) -> None:
        """Show lines about the conversation."""
        self._note(without_control_characters(text), "dim")

    def warn(self, text: str) -> None:
        """Show why something failed, in one line."""
        self._note(f"error: {to_line(text)}", "red")

    def _note(self, text: str, style: str) -> None:
        if self._notes is None:
            print(text, file=sys.stderr)
            return
        from rich.text import Text

        self._notes.print(Text(text, style=style))


def _make_console(file: TextIO) -> "Console | None":
    """Return a console on a terminal; None for any other file."""
    if not file.isatty():
        return None
    from rich.console import Console

    return Console(file=file, markup=False, emoji=False, highlight=False)


def _replace_what_it_cannot_encode(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)  # a stream of a test may have none
    if reconfigure is not None:
        reconfigure(errors="replace")
