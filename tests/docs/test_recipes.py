"""The settings of docs/recipes.md are those with which the coding agents are tested."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.blocks import Block, read_blocks
from tests.house.sources import ROOT
from tests.sdk.agents.launching import LAUNCHES, Launch, Target
from tests.sdk.table import PAGE as CLIENTS_PAGE

PAGE = ROOT / "docs" / "recipes.md"
TARGET = Target("http://127.0.0.1:8000", "my-model", 1024)
# Of the tests: so that nothing is looked up elsewhere, and nobody is asked.
ONLY_IN_TESTS = {"MAX_THINKING_TOKENS", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"}


def block_of(heading: str, page: Path = PAGE) -> Block:
    """Return the first block below a heading."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"## {heading}")
    return next(block for block in read_blocks(page) if block.line > start)


def launch(agent: str) -> Launch:
    return LAUNCHES[agent](TARGET, "a task")


def test_codex() -> None:
    tested = launch("codex").files[".codex/config.toml"]
    assert tomllib.loads(block_of("Codex").text) == tomllib.loads(tested)


@pytest.mark.parametrize(
    ("heading", "agent", "file"),
    [
        ("OpenCode", "opencode", ".config/opencode/opencode.json"),
        ("Qwen Code", "qwen_code", ".qwen/settings.json"),
    ],
)
def test_settings_in_json(heading: str, agent: str, file: str) -> None:
    assert json.loads(block_of(heading).text) == json.loads(launch(agent).files[file])


def test_claude_code() -> None:
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", block_of("Claude Code").text, re.MULTILINE))
    tested = launch("claude_code").variables
    assert exported == {name: tested[name] for name in tested if name not in ONLY_IN_TESTS}


@pytest.mark.parametrize("agent", ["Codex CLI", "Claude Code", "OpenCode", "Qwen Code"])
def test_the_version_is_the_one_that_was_run(agent: str) -> None:
    """docs/clients.md is generated from what the tests run."""
    table = CLIENTS_PAGE.read_text(encoding="utf-8")
    (version,) = re.findall(rf"^\| {agent} \(.+?\) \| (\S+) \|", table, re.MULTILINE)
    section = PAGE.read_text(encoding="utf-8").partition(f"## {agent.removesuffix(' CLI')}\n")[2]
    assert f"Run: {version}," in section.partition("\n## ")[0]
