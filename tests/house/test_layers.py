"""Who may import whom: the tables of CONTRIBUTING.md, held against every import."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.house.sources import (
    PRODUCT,
    ROOT,
    imported_modules,
    imports_of,
    module_path,
    python_files,
    top_level,
)

CODE = re.compile(r"`([^`]+)`")


def table(heading: str) -> list[tuple[str, list[str]]]:
    """The rows of the table with this first heading: the first cell, and the names beside it."""
    lines = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        first, second = line.strip("|").split("|")
        rows.append((first.strip(), CODE.findall(second)))
    return rows


MAY_IMPORT = {package.strip("`"): set(others) for package, others in table("package")}
IMPORTED_IN = {library.strip("`"): places for library, places in table("library")}
LAYERS = {
    "server": [packages for _, packages in table("layer of `server/`")],
    "thinking": [packages or [""] for _, packages in table("layer of `thinking/`")],
}
# The modules of the server's root; all but the state may call each other.
ENTRY = {*LAYERS["server"][0], "state", "__init__"}


def place_of(path: Path) -> tuple[int, str]:
    """The layer (0 is the top) that holds the file `path`, and its package in that layer."""
    top, *rest = path.with_suffix("").parts
    inner = "/".join(rest)
    held = [
        (layer, package)
        for layer, packages in enumerate(LAYERS[top])
        for package in packages
        if not package or inner == package or inner.startswith(f"{package}/")
    ]
    assert held, f"{path} is in no layer of CONTRIBUTING.md"
    return max(held, key=lambda entry: len(entry[1]))


def is_downward(importer: Path, imported: Path) -> bool:
    (above, package), (below, other) = place_of(importer), place_of(imported)
    is_inside = package == other or {package, other} <= ENTRY - {"state"}
    return is_inside or above < below


def edges(top: str) -> Iterator[tuple[Path, Path]]:
    """The imports between files of one top-level package."""
    for path in python_files(top):
        for module in imports_of(path):
            imported = module_path(module)
            if imported is not None and imported.suffix == ".py" and imported.parts[0] == top:
                yield path.relative_to(ROOT), imported


def test_every_package_has_a_rule() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    assert not {
        f"{path.relative_to(ROOT)} -> {other}"
        for path in python_files(package)
        for other in top_level(imports_of(path)) & forbidden
    }


@pytest.mark.parametrize("top", LAYERS)
def test_an_import_goes_down_only(top: str) -> None:
    upward = [f"{path} -> {other}" for path, other in edges(top) if not is_downward(path, other)]
    assert not upward


@pytest.mark.parametrize(
    ("importer", "imported", "is_allowed"),
    [
        ("server/api/openai/chat/router.py", "server/reply/prepare.py", True),
        ("server/api/openai/chat/router.py", "server/api/openai/stream.py", True),
        ("server/api/openai/stream.py", "server/api/openai/chat/router.py", False),
        ("server/api/openai/chat/router.py", "server/api/anthropic/router.py", False),
        ("server/keys/key.py", "server/account/account.py", False),
        ("server/choice/decoder.py", "server/model/limits.py", False),
        ("server/state.py", "server/app.py", False),
        ("server/serve.py", "server/app.py", True),
        ("server/keys/key.py", "server/keys/ring.py", True),
        ("thinking/tracker.py", "thinking/sampler/automaton.py", False),
        ("thinking/markers/profile.py", "thinking/plan.py", False),
        ("thinking/sampler/batch.py", "thinking/plan.py", True),
    ],
)
def test_the_rule_tells_down_from_up(importer: str, imported: str, *, is_allowed: bool) -> None:
    assert is_downward(Path(importer), Path(imported)) is is_allowed


def test_the_root_of_the_server_holds_its_entry_only() -> None:
    assert {path.stem for path in (ROOT / "server").glob("*.py")} == ENTRY


@pytest.mark.parametrize("top", LAYERS)
def test_the_tables_name_no_package_that_is_gone(top: str) -> None:
    named = [package for packages in LAYERS[top] for package in packages if package]
    assert not [name for name in named if module_path(f"{top}.{name}".replace("/", ".")) is None]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("library", IMPORTED_IN)
def test_a_heavy_library_is_imported_in_few_named_places_only(library: str) -> None:
    importers = {
        str(path.relative_to(ROOT))
        for package in PRODUCT
        for path in python_files(package)
        if library in top_level(imports_of(path))
    }
    places = IMPORTED_IN[library]
    assert not {path for path in importers if not any(fnmatch(path, place) for place in places)}
    assert all(any(fnmatch(path, place) for path in importers) for place in places)


def test_clients_speak_http_only() -> None:
    engines = {"vllm", "torch", "transformers"}
    assert not {path for path in python_files("clients") if top_level(imports_of(path)) & engines}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import vllm.config", {"vllm"}),
        ("def late():\n    from vllm import LLM", {"vllm"}),
        ("from server.engine import protocol", {"server"}),
        ("from . import protocol", {"server"}),
        ("from ..openai import chat", {"server"}),
        ("import numpy as thinking", {"numpy"}),
    ],
)
def test_the_walk_sees_every_kind_of_import(source: str, expected: set[str]) -> None:
    assert top_level(set(imported_modules(source, "server.engine"))) == expected
