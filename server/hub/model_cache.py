"""A cache of prepared model folders: built once, replaced atomically, verified on use.

Each folder has a manifest with the builder's version and the size and SHA-256 of every file; a
folder that does not match its manifest is rebuilt. Knows nothing of models or how they are built.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

MANIFEST_NAME = "thinking_server_manifest.json"
CACHE_VARIABLE = "THINKING_SERVER_CACHE"


def get_cache_root() -> Path:
    """Return ``$THINKING_SERVER_CACHE``, else ``thinking-server`` in the user's cache folder."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "thinking-server"


def prepare_folder(root: Path, name: str, version: str, build: Callable[[Path], None]) -> Path:
    """Return the intact folder `name` under `root`, building it if it is missing or damaged.

    `build` fills an empty folder. Concurrent processes build only once, and a reader never sees a
    half-built folder.

    Raises:
        OSError: the cache cannot be written. Errors of `build` are passed through.
    """
    folder = root / name
    if is_intact(folder, version):  # needs no lock: a read-only cache is enough
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{name}.lock"):
        if not is_intact(folder, version):
            _rebuild(folder, version, build)
    return folder


def is_intact(folder: Path, version: str) -> bool:
    """Return whether `folder` matches its manifest and was built by this `version`."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        if manifest["version"] != version:
            return False
        # Check sizes first: a truncated copy is detected without reading 270 MB.
        return all(
            (folder / name).stat().st_size == entry["bytes"]
            for name, entry in manifest["files"].items()
        ) and all(
            _hash_file(folder / name) == entry["sha256"]
            for name, entry in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _rebuild(folder: Path, version: str, build: Callable[[Path], None]) -> None:
    """Build in a temporary folder, then replace `folder`. The caller holds the lock."""
    scratch_prefix = f".{folder.name}.tmp-"
    for left_over in folder.parent.glob(f"{scratch_prefix}*"):  # by a killed process
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=scratch_prefix, dir=folder.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        build(fresh)
        _write_manifest(fresh, version)
        if folder.exists():
            # A non-empty directory cannot be the target of a rename. A process that has the old
            # files open keeps them.
            folder.rename(Path(scratch, "old"))
        fresh.rename(folder)


def _write_manifest(folder: Path, version: str) -> None:
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _hash_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"version": version, "files": files}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n")


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
