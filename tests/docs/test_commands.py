"""Every command of the documentation is one that its program would take; none is started here.

Requests to the server are sent in ``tests/e2e/test_documented_requests.py``.
"""

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from clients.cli import make_parser
from server.cli import parse_engine_options
from server.ledger.command import main as run_ledger_command
from server.settings.option_table import list_options
from tests.docs.blocks import Block, select_blocks, split_commands
from tests.house.sources import ROOT

# Programs that are not ours: why their arguments are not checked here.
FOREIGN = {
    "open-webui": "a program of its own; tests/e2e/test_open_webui.py runs it",
    "curl": "requests are sent in tests/e2e",
    "jq": "part of such a request",
    "sleep": "part of such a request",
    "docker": "tests/ops checks the files that it reads, deploy/prove-image.sh an image",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster; tests/ops renders the chart with its values",
    "systemctl": "needs systemd; tests/ops checks the unit",
    "install": "writes into the system",
    "cp": "writes into the system",
    "mkdir": "needs no proof",
    "chmod": "needs no proof",
    "git": "needs no proof",
    "pip": "installs from an index",
    "pipx": "installs from an index",
    "uv": "installs from an index; tests/e2e/test_wheel.py does it with the same wheel",
    "uvx": "likewise",
    "source": "of a shell; tests/shells reads the same scripts",
    "eval": "likewise",
    "npm": "installs from a registry",
    "ray": "is in an environment of its own; tests of docs/ray.md run it",
    "serve": "likewise",
    "vllm": "starts an engine; tests/e2e/test_plugin.py does it with the same options",
    "claude": "is run as it is shipped by tests/sdk/agents",
    "lm_eval": "is run by tests/sdk, in an environment of its own",
}
# Taken by the recipe of a target.
MAKE_VARIABLES = {"PORT", "MODEL", "ARGS", "PYTEST_ARGS", "DEVICE", "DOCKER", "TARGET"}
SHELL = select_blocks("sh")


def commands_of(*programs: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the words of each command that starts one of these programs."""
    for block in SHELL:
        for command in split_commands(block.text):
            if command[0] in programs:
                yield block.place, command


def named(commands: Iterator[tuple[str, list[str]]]) -> list[object]:
    return [pytest.param(words, id=f"{place} {' '.join(words)[:40]}") for place, words in commands]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_a_shell_can_read(block: Block) -> None:
    # `<the served model>` is for the reader to replace.
    text = re.sub(r"<[a-z ]+>", "NAME", block.text)
    checked = subprocess.run(
        ["bash", "-n"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_program_is_ours_or_has_a_reason() -> None:
    ours = {"make", "thinking", "thinking-server", "python"}
    used = {command[0] for block in SHELL for command in split_commands(block.text)}
    assert used <= ours | set(FOREIGN)
    assert set(FOREIGN) <= used, "named, but no longer used"


@pytest.mark.parametrize("command", named(commands_of("make")))
def test_make_has_the_target(command: Sequence[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    targets = [word for word in command[1:] if "=" not in word]
    variables = {word.partition("=")[0] for word in command[1:] if "=" in word}
    assert set(targets) <= set(phony.split())
    assert variables <= MAKE_VARIABLES


@pytest.mark.parametrize("command", named(commands_of("thinking")))
def test_thinking_takes(command: Sequence[str]) -> None:
    try:
        make_parser().parse_args(command[1:])  # exits with 2 on what it does not know
    except SystemExit as end:
        assert end.code == 0  # a version or a script was printed


@pytest.mark.parametrize("command", named(commands_of("thinking-server")))
def test_the_server_takes(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    if command[1:2] == ["ledger"]:
        with pytest.raises(SystemExit) as end:
            run_ledger_command([*command[2:], "--help"])
        assert end.value.code == 0, capsys.readouterr().err
        return
    options = {option.flag: option for option in list_options()}
    foreign: list[str] = []
    flag = ""
    for word in command[1:]:
        flag = word if word.startswith("--") else flag
        if flag not in options:
            foreign.append(word)
        elif options[flag].is_json and word != flag:
            json.loads(word)
    if foreign:
        parse_engine_options(foreign)


@pytest.mark.parametrize("command", named(commands_of("python")))
def test_a_module_that_is_run_exists(command: Sequence[str]) -> None:
    option, what = command[1:3]
    if option == "-c":
        compile(what, "command", "exec")
    else:
        assert option == "-m"
        package, *inner = what.split(".")
        spec = importlib.util.find_spec(package)  # of a package that is not imported for this
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin).parent.joinpath(*inner)
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
