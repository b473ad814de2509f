"""Packages that only the command line needs, checked at the start of a run.

A run of hours should not end with "No module named matplotlib". Imports nothing itself.
"""

from importlib.util import find_spec

from clients.errors import UsageError

INSTALL = "pip install 'thinking-server[clients]'"


def require(*packages: str) -> None:
    """Raise UsageError with an install hint if one of `packages` is missing."""
    if missing := [package for package in packages if find_spec(package) is None]:
        raise UsageError(f"this command needs {' and '.join(missing)}: {INSTALL}")
