"""Tests on the real engine stay in two processes, in the order that spares starts and memory.

Shown with the real pytest-xdist on a small suite that has our ``conftest.py``: once the group was
silently not applied, and all processes ran engines until the memory was gone.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import conftest
from tests.e2e import shared
from tests.e2e.shared import SharedServers
from tests.house.sources import ROOT

SUITE = """
import os
import pytest

pytestmark = pytest.mark.e2e

@pytest.mark.ends_server
def test_that_ends_{name}({fixture}):
    print("ran", "the end of {name}", os.environ["PYTEST_XDIST_WORKER"])

@pytest.mark.parametrize("number", range(3))
def test_{name}({fixture}, number):
    print("ran", "{name}", os.environ["PYTEST_XDIST_WORKER"])
"""
OTHER_FIXTURES = '''
import pytest

@pytest.fixture
def server():
    """In the place of the real one."""

@pytest.fixture
def thinker_server():
    """Likewise."""

@pytest.fixture
def next_server_loads():
    """Likewise."""
'''


def test_tests_that_share_servers_run_in_one_process_one_server_after_the_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "examples.py", tmp_path / "tests")  # what it imports
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder, name, fixture in (
        ("a", "embedded", "server"),
        ("b", "thinker", "thinker_server"),
        ("c", "own", "tmp_path"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "conftest.py").write_text(OTHER_FIXTURES)
        (tmp_path / folder / f"test_{name}.py").write_text(SUITE.format(name=name, fixture=fixture))
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-rP"]
    done = subprocess.run(
        [*command, "a", "b", "c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    ran: list[tuple[str, str]] = re.findall(r"^ran (.+) (\w+)$", done.stdout, re.MULTILINE)
    for line in (["own", "thinker"], ["embedded"]):
        expected = [name for each in line for name in [each] * 3 + [f"the end of {each}"]]
        here = [(name, worker) for name, worker in ran if name in expected]
        assert [name for name, _ in here] == expected
        assert len({worker for _, worker in here}) == 1


def test_the_order_of_the_tests_is_that_of_the_servers() -> None:
    assert tuple(shared.ORDER) == conftest.SHARED_SERVERS


def test_a_server_loads_while_the_one_before_is_used_and_ends_when_the_next_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Pretended:
        """In the place of a running server."""

        def __init__(self, name: str) -> None:
            self.name = name

        def wait_ready(self) -> None:
            events.append(f"{self.name} is ready")

    def starter(name: str) -> Callable[[Path], object]:
        @contextmanager
        def started(folder: Path) -> Iterator[Pretended]:
            assert folder.is_dir()
            events.append(f"{name} starts")
            yield Pretended(name)
            events.append(f"{name} ends")

        return started

    monkeypatch.setattr(shared, "ORDER", {name: starter(name) for name in "abcd"})
    servers = SharedServers(tmp_path, [["a", "c", "d"], ["b"]])
    servers.prepare()
    assert events == ["a starts"]
    for name in ("a", "c"):
        servers.use(name)
    assert events[1:] == ["a is ready", "c starts", "a ends", "c is ready", "d starts"]
    servers.end()
    assert events[6:] == ["c ends", "d ends"]
