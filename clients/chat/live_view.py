"""A reply on a terminal while it comes: a bar while it thinks, then Markdown.

Blocks of Markdown that are complete are printed once and scroll away as anything else does. Only
the last one is drawn again and again, at most as high as the terminal. Knows no HTTP.
"""

import asyncio

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment, SegmentLines
from rich.text import Text

from clients.chat.progress_bar import make_progress_bar
from clients.chat.safe_markdown import SafeMarkdown, find_last_block
from clients.chat.turn import Progress
from clients.control_characters import without_control_characters

_SECONDS_BETWEEN_DRAWINGS = 0.1
# A block that is longer is drawn as plain text until it is complete, since it is drawn anew for
# each piece of it.
_MAX_DRAWN_CHARACTERS = 8_000
_WAITING = Text("waiting …", style="dim")


class LiveView:
    """Draws one reply; what has changed is drawn several times a second, by the event loop.

    Not by a thread of rich: it would draw while a complete block is printed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Text | None = _WAITING
        self._rest = ""  # of the answer: its last block, which is not complete
        self._has_printed = False
        self._shows_thought = False
        self._ends_line = True
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._start()

    def show_progress(self, progress: Progress) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        if not self._shows_thought:
            self._bar = make_progress_bar(progress, self._console.width, self._can_draw())
            self._plan_drawing()

    def show_text(self, text: str, *, is_thought: bool) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        text = without_control_characters(text)
        self._bar = None
        if is_thought:
            self._write_thought(text)
        else:
            self._write_answer(text)

    def show_notice(self, notice: str) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        self._end_thought()
        self._bar = None if self._rest else _WAITING
        self._stop()
        self._console.print(Text(notice, style="yellow"))
        self._start()

    def finish(self) -> None:
        """See :class:`clients.chat.view.ReplyView`."""
        self._bar = None
        self._stop()
        self._print_block(self._rest)
        self._rest = ""
        self._end_thought()

    def _write_thought(self, text: str) -> None:
        """Write a piece of thought where the last one ended, which nothing may be drawn below."""
        self._stop()
        self._print_block(self._rest)
        self._rest = ""
        if self._has_printed and not self._shows_thought:
            self._console.print()
        self._shows_thought = True
        self._has_printed = True
        self._ends_line = text.endswith("\n") if text else self._ends_line
        self._console.print(Text(text, style="dim"), end="", soft_wrap=True)

    def _write_answer(self, text: str) -> None:
        self._end_thought()
        self._rest += text
        if "\n" in text:
            begin = find_last_block(self._rest)
            complete, self._rest = self._rest[:begin], self._rest[begin:]
            if complete:
                self._stop()
                self._print_block(complete)
        self._start()
        self._plan_drawing()

    def _print_block(self, text: str) -> None:
        if not text.strip():
            return
        if self._has_printed:
            self._console.print()
        self._has_printed = True
        lines = _render_block(self._console, self._console.options, SafeMarkdown(text))
        self._console.print(SegmentLines(lines, new_lines=True), end="")

    def _end_thought(self) -> None:
        if self._shows_thought and not self._ends_line:
            self._console.print()
        self._shows_thought = False
        self._ends_line = True

    def _start(self) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=lambda: _Tail(self._bar, self._rest, self._has_printed),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _plan_drawing(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SECONDS_BETWEEN_DRAWINGS, self._draw)

    def _draw(self) -> None:
        self._timer = None
        if self._live is not None:
            self._live.refresh()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _can_draw(self) -> bool:
        return self._console.encoding.startswith("utf")


class _Tail:
    """The last lines of an answer's last block, and the bar."""

    def __init__(self, bar: Text | None, text: str, is_below: bool) -> None:
        self._bar = bar
        self._text = text
        self._is_below = is_below

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield as many lines as the terminal has room for."""
        options = options.update(height=None)
        lines: list[list[Segment]] = []
        if self._text.strip():
            if self._is_below:
                lines.append([])
            lines += _render_block(console, options, self._render_text())
        if self._bar is not None:
            lines += console.render_lines(self._bar, options, pad=False)
        for number, line in enumerate(lines[-max(console.height - 1, 1) :]):
            if number:
                yield Segment.line()
            yield from line

    def _render_text(self) -> SafeMarkdown | Text:
        if len(self._text) > _MAX_DRAWN_CHARACTERS:
            return Text(self._text[-_MAX_DRAWN_CHARACTERS:])
        return SafeMarkdown(self._text)


def _render_block(
    console: Console, options: ConsoleOptions, block: SafeMarkdown | Text
) -> list[list[Segment]]:
    """Return the lines of `block`, without the empty ones that rich writes around some blocks."""
    lines = console.render_lines(block, options, pad=False)
    while lines and _is_empty(lines[0]):
        del lines[0]
    while lines and _is_empty(lines[-1]):
        del lines[-1]
    return lines


def _is_empty(line: list[Segment]) -> bool:
    return not "".join(segment.text for segment in line).strip()
