"""Results of probes of this machine, kept in a small JSON file: one value for each machine's key.

Does not know what is probed.
"""

import json
import os
from pathlib import Path


def read_results(path: Path) -> dict[str, str]:
    """Return the results by key; empty if there is no such file, or another content."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {key: value for key, value in data.items() if isinstance(value, str)}


def write_result(path: Path, key: str, value: str) -> None:
    """Add a result; with a read-only cache the next start has to probe again."""
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(read_results(path) | {key: value}, indent=2))
        scratch.replace(path)
    except OSError:
        pass
