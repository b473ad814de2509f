"""The wheel in an environment that has nothing else of ours: it serves, and chats."""

import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Server, free_port, started_process
from tests.e2e.wheel_environment import make_environment
from tests.house.sources import PRODUCT, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WHERE = """
import json, server, clients, thinking, thinker
print(json.dumps([module.__file__ for module in (server, clients, thinking, thinker)]))
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    """Return an environment with the wheel, just built from this checkout."""
    return make_environment("wheel")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in that is no checkout, with a home and a cache that are empty."""
    folder = tmp_path_factory.mktemp("outside")
    with pytest.MonkeyPatch.context() as patches:
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
            patches.delenv(name, raising=False)
        patches.setenv("HOME", str(folder))
        patches.setenv("THINKING_SERVER_CACHE", str(folder / "cache"))
        patches.chdir(folder)
        yield folder


def run(*command: str | Path, stdin: str = "") -> str:
    """Return what a command of the environment writes."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout


def test_the_environment_has_nothing_of_the_checkout(environment: Path, outside: Path) -> None:
    files = json.loads(run(environment / "bin" / "python", "-P", "-c", WHERE))
    assert all(Path(file).is_relative_to(environment) for file in files)
    for program in ("thinking", "thinking-server"):
        assert re.match(
            rf"{program} \d+\.\d+\.\d+", run(environment / "bin" / program, "--version")
        )


@pytest.mark.parametrize("model", ["thinker", None], ids=["thinker", "default model"])
def test_it_serves_and_its_chat_is_answered(
    environment: Path, outside: Path, model: str | None, tmp_path: Path
) -> None:
    port = free_port()
    command = [str(environment / "bin" / "thinking-server"), "--port", str(port)]
    command += ["--enforce-eager", *(["--model", model] if model else [])]
    with started_process(command, port, tmp_path / "log.txt") as server:
        server.wait_ready()
        reply = ask(environment, server)
    assert reply["model"] == (model or "smollm2-135m-instruct")
    assert 0 < reply["receipt"]["used"] <= 64
    assert reply["answer"]


def ask(environment: Path, server: Server) -> dict[str, Any]:
    """Return what the environment's own command line gets from its server."""
    chat: list[str | Path] = [
        environment / "bin" / "thinking",
        "chat",
        "--url",
        f"{server.base_url}/v1",
    ]
    return dict(json.loads(run(*chat, "--budget", "64", "--json", stdin="7 + 5 * 3 =\n")))


@pytest.fixture(scope="module")
def wheel(environment: Path) -> list[str]:
    """Return the names of the files in the wheel."""
    (path,) = (environment.parent / "dist").glob("thinking_server-*.whl")
    return zipfile.ZipFile(path).namelist()


@pytest.fixture(scope="module")
def sources(environment: Path) -> list[str]:
    """Return the names of the files in the source distribution."""
    (path,) = (environment.parent / "dist").glob("thinking_server-*.tar.gz")
    with tarfile.open(path) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    return [name.partition("/")[2] for name in names]


def test_there_are_our_packages_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    tops = {top for top in tops if not top.endswith(".dist-info")}
    assert tops == set(PRODUCT)


def test_every_tracked_file_of_them_is_there(wheel: list[str]) -> None:
    """What is read at run time too: it must not be found by a path of the repository."""
    tracked = run("git", "-C", ROOT, "ls-files", "server", "clients", "thinking", "thinker")
    examples = re.compile(r"^clients/examples/.*\.(ts|sh)$")
    missing = set(tracked.split()) - set(wheel)
    assert {name for name in missing if not examples.match(name)} == set()


def test_there_are_no_tests_documents_or_caches(wheel: list[str], sources: list[str]) -> None:
    unwanted = re.compile(r"(^|/)(tests?|docs|benchmarks|__pycache__|\.cache|\.venv)/|\.pyc$")
    assert not [name for name in (*wheel, *sources) if unwanted.search(name)]


def test_the_licence_is_there(wheel: list[str], sources: list[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert "LICENSE" in sources


def test_the_locked_versions_are_beside_it(environment: Path) -> None:
    """The constraints beside the wheel are the locks."""
    lock = (ROOT / "deploy" / "requirements" / "cpu.txt").read_text()
    assert (environment.parent / "dist" / "constraints-cpu.txt").read_text() == lock


def test_the_commands_need_no_checkout(environment: Path, outside: Path) -> None:
    assert not outside.is_relative_to(ROOT)
    assert "smoke" in run(environment / "bin" / "thinking", "eval", "--list")
