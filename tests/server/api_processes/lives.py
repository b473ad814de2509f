"""What the processes of a supervisor's tests do. Imports nothing heavy: each is a new Python."""

import signal
import sys


def end_with(code: int) -> None:
    """Exit with `code`; a negative one: by that signal."""
    if code < 0:
        signal.raise_signal(-code)
    sys.exit(code)


def live_until_stopped(code: int) -> None:
    """Wait for SIGTERM, then exit with `code`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    while True:
        signal.pause()


def refuse_to_end() -> None:
    """Wait for SIGKILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
