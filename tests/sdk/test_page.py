"""docs/clients.md says what the tests run, and the locks are fit for anyone's machine."""

import json
import re
from pathlib import Path

import pytest

from tests.sdk.agents.catalogue import LOCKED
from tests.sdk.catalogue import CLIENTS, NODE, REQUIREMENTS
from tests.sdk.conftest import EXAMPLES
from tests.sdk.table import PAGE, filled

LOCKS = sorted(REQUIREMENTS.glob("*.txt"))


def test_the_page_has_the_tables_of_what_is_tested() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page), "run `python -m tests.sdk.table`"


def test_the_page_names_every_example() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [path.name for path in EXAMPLES.iterdir() if path.is_file()]
    assert not [name for name in names if f"examples/{name}" not in page]


def test_every_environment_has_a_client_and_every_client_its_environment() -> None:
    wanted = {client.environment for client in CLIENTS} - {None}
    assert wanted == {"node", *(lock.stem for lock in LOCKS)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_pins_every_package_and_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.findall(r"^(?![a-z0-9._-]+(?:\[[a-z0-9,-]+\])?==).+$", text, re.MULTILINE)
    assert "://" not in text


@pytest.mark.parametrize("folder", [NODE, LOCKED], ids=lambda path: path.name)
def test_an_npm_lock_names_no_registry_and_checks_what_it_gets(folder: Path) -> None:
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for path, package in lock["packages"].items() if path]
    assert not [package for package in packages if "resolved" in package]
    assert all(package["integrity"] for package in packages)
