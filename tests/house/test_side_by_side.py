"""Tests on the real engine stay in one process, in the order that spares memory.

Shown with the real pytest-xdist on a small suite that has our ``conftest.py``: once the group was
silently not applied, and two processes ran engines until the memory was gone.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT

SUITE = """
import os
import pytest

pytestmark = pytest.mark.{mark}

@pytest.mark.parametrize("number", range(4))
def test_{name}(number{fixture}):
    print("ran", "{name}", os.environ["PYTEST_XDIST_WORKER"])
"""
OWN_SERVER_FIXTURE = '''
import pytest

@pytest.fixture
def server():
    """In the place of the real one."""
'''


def test_tests_on_the_engine_run_in_one_process_the_shared_server_last(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder, mark, name, fixture in (
        ("a", "e2e", "shared", ", server"),
        ("b", "sdk", "own", ""),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "conftest.py").write_text(OWN_SERVER_FIXTURE)
        suite = SUITE.format(mark=mark, name=name, fixture=fixture)
        (tmp_path / folder / f"test_{name}.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-rP", "a", "b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"^ran (\w+) (\w+)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in ran] == ["own"] * 4 + ["shared"] * 4
    assert len({worker for _, worker in ran}) == 1
