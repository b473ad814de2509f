"""Built-in task sets: the ``*.jsonl`` files in ``data/``.

Knows names and paths; :mod:`.task_file` reads them.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from clients.errors import UsageError

FOLDER = Path(__file__).parent / "data"
SUFFIX = ".jsonl"


def list_task_sets() -> Mapping[str, Path]:
    """Return the files by name, sorted by name."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find_tasks(name: str) -> Path:
    """Return the path of the built-in set `name`, or of the file at that path.

    Raises:
        UsageError: there is neither.
    """
    if (path := list_task_sets().get(name)) is not None:
        return path
    if (path := Path(name)).is_file():
        return path
    close = difflib.get_close_matches(name, list_task_sets(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"built-in sets: {', '.join(list_task_sets())}"
    raise UsageError(f"{name}: no such file and no built-in task set; {hint}")
