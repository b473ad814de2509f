"""Blocks of data and of code can be read as what they are; paths and variables exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from server.settings.option_table import list_options
from tests.docs.blocks import BLOCKS, PAGES, Block, read_json, select_blocks
from tests.house.sources import ROOT, module_path, python_files

# Languages of blocks; "" is what a program has printed. Who checks those that are not below.
LANGUAGES = {
    *("json", "python", "toml", "sh", ""),
    "console",  # what a person typed, and was printed
    "promql",  # tests/ops/test_metrics_page.py
    "sql",
}
# Folders of the root; what is in them and named in a page must exist.
_PATH = re.compile(r"`((?:benchmarks|clients|deploy|docs|server|tests|thinker|thinking)/[\w./-]+)`")
_VARIABLE = re.compile(r"\bTHINKING_SERVER_[A-Z_]+\b")
_MODULE = re.compile(r"`python -m ((?:benchmarks|server|tests|thinker)(?:\.\w+)*)")
# Those of options, and those that the code reads by their names: secrets, for the most part.
KNOWN_VARIABLES = {option.variable for option in list_options()} | {
    name
    for package in ("server", "thinking")
    for path in python_files(package)
    for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_in_a_language_that_is_checked(block: Block) -> None:
    assert block.language in LANGUAGES


@pytest.mark.parametrize("block", select_blocks("json"), ids=lambda block: block.place)
def test_json_is_json(block: Block) -> None:
    read_json(block.text)


@pytest.mark.parametrize("block", select_blocks("toml"), ids=lambda block: block.place)
def test_toml_is_toml(block: Block) -> None:
    tomllib.loads(block.text.replace("…64 digits…", "0" * 64))


@pytest.mark.parametrize("block", select_blocks("python"), ids=lambda block: block.place)
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_that_is_named_exists(page: Path) -> None:
    paths = set(_PATH.findall(page.read_text(encoding="utf-8")))
    assert not {path for path in paths if not (ROOT / path).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_module_that_is_named_exists(page: Path) -> None:
    modules = set(_MODULE.findall(page.read_text(encoding="utf-8")))
    assert not {module for module in modules if module_path(module) is None}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_that_is_named_is_read(page: Path) -> None:
    used = set(_VARIABLE.findall(page.read_text(encoding="utf-8"))) - KNOWN_VARIABLES
    assert not {name for name in used if not name.endswith("_")}  # else a family of names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('"a": {"b": 1, …}', {"a": {"b": 1}}),
        ('{"a": [1, …], "b": "…"}', {"a": [1], "b": "…"}),
        ('{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
    ],
)
def test_what_is_left_out_does_not_hide_a_mistake(text: str, expected: object) -> None:
    assert read_json(text) == expected
    with pytest.raises(ValueError, match=r"Expecting|Extra data"):
        read_json(text.replace(":", "", 1))


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert not {page for page in pages - {"README.md"} if f"]({page})" not in index}


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_all_blocks_are_seen() -> None:
    fences = sum(page.read_text(encoding="utf-8").count("```") for page in PAGES)
    assert fences == 2 * len(BLOCKS)
