"""The file of what was typed, which only its user may read. Knows no prompt."""

import os
from pathlib import Path

_NAME = "chat-history"


def find_history_path() -> Path:
    """Return the path under ``XDG_STATE_HOME`` (default ``~/.local/state``)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # The specification: a path that is not absolute is to be ignored.
    state = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return state / "thinking" / _NAME


def make_private_file(path: Path) -> None:
    """Create the file with mode 0600 if it is missing, and take it from others if it is not.

    Raises:
        OSError: it cannot be created or does not belong to the user.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
