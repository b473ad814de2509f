"""A cache of prepared model folders: built once, replaced as a whole, checked on use.

Each folder carries a manifest with the builder's version and every file's size and
SHA-256; a folder that does not match it is built again. Knows nothing of what a
model is or how it is built.
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


def cache_root() -> Path:
    """``$THINKING_SERVER_CACHE``, else ``thinking-server`` in the user's cache folder."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "thinking-server"


def prepared_folder(root: Path, name: str, version: str, build: Callable[[Path], None]) -> Path:
    """The intact folder `name` under `root`; built first where it is missing or broken.

    `build` fills an empty folder. Processes that ask at the same time build once; a
    reader never sees a half-built folder.

    Raises:
        OSError: the cache cannot be written. Whatever `build` raises passes through.
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
    """Whether `folder` holds exactly what its manifest lists, made by this `version`."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        if manifest["version"] != version:
            return False
        # Sizes first: a torn copy is found without reading 270 MB.
        return all(
            (folder / name).stat().st_size == entry["bytes"]
            for name, entry in manifest["files"].items()
        ) and all(
            _sha256(folder / name) == entry["sha256"] for name, entry in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _rebuild(folder: Path, version: str, build: Callable[[Path], None]) -> None:
    """Build beside `folder`, then swap; the caller holds the lock."""
    scratch_prefix = f".{folder.name}.tmp-"
    for left_over in folder.parent.glob(f"{scratch_prefix}*"):  # of a killed process
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=scratch_prefix, dir=folder.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        build(fresh)
        _write_manifest(fresh, version)
        if folder.exists():
            # A directory with files cannot be renamed over. A process that has the old
            # files open keeps them.
            folder.rename(Path(scratch, "old"))
        fresh.rename(folder)


def _write_manifest(folder: Path, version: str) -> None:
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"version": version, "files": files}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
