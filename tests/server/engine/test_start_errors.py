"""The hint of a server whose engine did not start."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.engine.start_errors import SHARED_MEMORY_BYTES, explain_shared_memory


def test_a_container_with_too_little_shared_memory_is_told_the_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def explain(free: int) -> str:
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        return explain_shared_memory(tmp_path)

    assert "--shm-size" in explain(SHARED_MEMORY_BYTES - 1)
    assert explain(SHARED_MEMORY_BYTES) == ""


def test_a_machine_without_that_folder_is_told_nothing(tmp_path: Path) -> None:
    assert explain_shared_memory(tmp_path / "none") == ""
