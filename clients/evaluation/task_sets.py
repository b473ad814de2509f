"""The task sets that come with the package: whatever ``*.jsonl`` lies in ``data/``.

Knows names and paths; :mod:`.task_file` reads them.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from clients.errors import UsageError

FOLDER = Path(__file__).parent / "data"
SUFFIX = ".jsonl"


def task_sets() -> Mapping[str, Path]:
    """Name to file, sorted by name."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find_tasks(name: str) -> Path:
    """The built-in set called `name`, or the file at that path.

    Raises:
        UsageError: there is neither.
    """
    if (path := task_sets().get(name)) is not None:
        return path
    if (path := Path(name)).is_file():
        return path
    close = difflib.get_close_matches(name, task_sets(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"built in are: {', '.join(task_sets())}"
    raise UsageError(f"{name}: no such file and no built-in task set; {hint}")
