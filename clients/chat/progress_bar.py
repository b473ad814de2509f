"""The bar of a hidden thought: ``thinking ━━━━━──── 31/64 · 1.2 s``."""

from rich.text import Text

from clients.chat.turn import Progress

_MAX_BAR, _MIN_BAR = 30, 5
_HINT = "  Ctrl-C: answer now"


def make_progress_bar(progress: Progress, width: int, can_draw: bool = True) -> Text:
    """Return a line of at most `width` columns; the bar is left out where it has no room.

    Args:
        progress: How far the thought is.
        width: Columns of the terminal.
        can_draw: Whether the terminal has more than ASCII.
    """
    done, left, dot = ("━", "─", "·") if can_draw else ("=", "-", "-")
    count = f"{progress.used}/{progress.budget} {dot} {progress.seconds:.1f} s"
    room = width - len("thinking ") - len(count) - 2
    hint = _HINT if room >= _MIN_BAR + len(_HINT) else ""
    length = min(room - len(hint), _MAX_BAR)
    line = Text("thinking ", style="dim", no_wrap=True, overflow="crop")
    if length >= _MIN_BAR:
        filled = length * progress.used // max(progress.budget, 1)
        line.append(done * filled, style="not dim cyan")
        line.append(left * (length - filled))
        line.append(" ")
    line.append(count)
    line.append(hint)
    return line
