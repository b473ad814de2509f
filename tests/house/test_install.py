"""One way to install: what `make` does on a machine, the images do too."""

import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.util import cache_from_source, find_spec
from pathlib import Path

import pytest

from tests.house.sources import ROOT

TOOLS = Path(sys.executable).parent
SCRIPTS = [
    ROOT / ".ci" / "run",
    *sorted((ROOT / "deploy").rglob("*.sh")),
    *sorted((ROOT / "clients" / "examples").glob("*.sh")),
]
INSTALLER = "deploy/install.sh"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    # As typed by a person: not as a part of the `make` that may run these tests.
    environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def dockerfile() -> str:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))


def stages() -> dict[str, str]:
    """Name -> instructions of each build stage."""
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", dockerfile(), flags=re.MULTILINE)
    return {name: f"FROM {base}\n{body}" for base, name, body in _triples(parts[1:])}


def _triples(parts: list[str]) -> list[tuple[str, str, str]]:
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


@pytest.mark.parametrize(
    "target", ["setup", "serve", "test", "lint", "types", "check", "bench", "eval"]
)
def test_make_installs_with_the_script(target: str) -> None:
    assert INSTALLER in run("make", "--dry-run", target).stdout


@pytest.mark.skipif(not sys.dont_write_bytecode, reason="the first start writes what it compiles")
@pytest.mark.parametrize("package", ["torch", "transformers", "vllm", "server"])
def test_a_start_need_not_compile(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(cache_from_source(spec.origin)).exists()


@pytest.mark.parametrize("stage", ["cpu-build", "cuda"])
def test_the_images_install_with_the_same_script(stage: str) -> None:
    installs = [line for line in stages()[stage].splitlines() if line.startswith("RUN")]
    assert [INSTALLER in line for line in installs] == [True]


def test_the_images_install_packages_in_no_other_way() -> None:
    assert not re.search(r"\b(pip|uv|conda) +(pip +)?(install|sync)\b", dockerfile())


def test_the_images_get_all_that_the_script_and_the_packages_need() -> None:
    copied = {
        source
        for line in stages()["source"].splitlines()
        if line.startswith("COPY")
        for source in line.split()[1:-1]
    }
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]["packages"]["find"]["include"]
    assert {package.rstrip("*") for package in packages} <= copied
    assert {INSTALLER, "deploy/uv.sh", "deploy/requirements", "pyproject.toml"} <= copied
    assert all((ROOT / source).exists() for source in copied)
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{source}" for source in copied} <= set(let_in)


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_the_images_run_as_nobody_special_and_say_how_they_are(stage: str) -> None:
    text = stages()[stage]
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "EXPOSE 8000" in text
    assert 'ENTRYPOINT ["thinking-server", "--host", "0.0.0.0"]' in text


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    result = run(TOOLS / "hadolint", "Dockerfile")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in(script: Path) -> None:
    result = run(TOOLS / "shellcheck", "--external-sources", script)
    assert result.returncode == 0, result.stdout


def test_scripts_name_the_shell_they_are_written_for() -> None:
    for script in SCRIPTS:
        first = script.read_text(encoding="utf-8").splitlines()[0]
        assert first in {"#!/usr/bin/env bash", "# shellcheck shell=bash"}, script


def test_installing_again_does_nothing_and_takes_seconds() -> None:
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("this environment was not made by the script")
    run("make", "setup")  # something may have changed since
    started = time.monotonic()
    again = run("make", "setup")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - started < 20  # to install takes minutes


def test_make_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    listed = run("make").stdout
    assert {target for target in phony.split() if f" {target} " not in listed} == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--host 127.0.0.1 --port 8000"),
        (["PORT=8123", "MODEL=a/b"], "--port 8123 --model a/b"),
        (["ARGS=--max-model-len 512"], "--port 8000  --max-model-len 512"),
    ],
)
def test_make_serve_passes_on_what_it_is_given(arguments: list[str], expected: str) -> None:
    assert expected in run("make", "--dry-run", "serve", *arguments).stdout


def test_the_health_check_fails_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKING_SERVER_PORT", "1")
    assert run(sys.executable, "deploy/healthcheck.py").returncode == 1
