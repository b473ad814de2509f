"""What a server says when its engine did not start."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.engine.start_errors import SHARED_MEMORY_BYTES, shared_memory_hint


def test_a_container_with_too_little_shared_memory_is_told_the_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def hint(free: int) -> str:
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        return shared_memory_hint(tmp_path)

    assert "--shm-size" in hint(SHARED_MEMORY_BYTES - 1)
    assert hint(SHARED_MEMORY_BYTES) == ""


def test_a_machine_without_that_folder_is_told_nothing(tmp_path: Path) -> None:
    assert shared_memory_hint(tmp_path / "none") == ""
