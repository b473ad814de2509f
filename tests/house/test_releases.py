"""What a release promises: one version everywhere, a changelog in its form, licences listed."""

import re
from importlib.metadata import version

import pytest

from server.app import create_app
from tests.house.sources import ROOT
from tests.house.test_versions import locked, project
from tests.server.conftest import make_services

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
LICENCES = (ROOT / "deploy" / "requirements" / "LICENSES.md").read_text(encoding="utf-8")
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def released() -> list[str]:
    """The versions with a heading in the changelog, as they are listed."""
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", CHANGELOG, re.MULTILINE)


def test_the_version_is_semantic_and_the_same_everywhere() -> None:
    ours = project()["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", ours)
    # The environment of a checkout has that of its last installation.
    assert create_app(make_services()).version == version("thinking-server") == ours
    chart = (ROOT / "deploy/helm/thinking-server/Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^(?:version|appVersion): (.+)$", chart, re.MULTILINE) == [ours, ours]
    # Until the first release, it is the version to come.
    assert released()[:1] in ([], [ours])


def test_the_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert len(headings) == 1 + len(released())
    numbers = [tuple(map(int, text.split("."))) for text in released()]
    assert numbers == sorted(set(numbers), reverse=True)
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= SECTIONS


def listed() -> dict[str, dict[str, set[str]]]:
    """Device -> name -> versions, of the table of licences."""
    _, _, table = LICENCES.partition("|---|")
    rows = re.findall(r"^\| ([a-z0-9._-]+) \| (.*?) \| (.*?) \| (.+) \|$", table, re.MULTILINE)
    return {
        device: {row[0]: set(row[column].split(", ")) for row in rows if row[column].strip()}
        for column, device in enumerate(("cpu", "cuda"), 1)
    }


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_licences_are_those_of_the_locked_packages(device: str) -> None:
    versions = locked(device)
    if device == "cpu":
        versions |= locked("torch-cpu")
    assert listed()[device] == versions, "run `make licenses`"


def test_copyleft_and_proprietary_packages_are_pointed_out() -> None:
    head, _, table = LICENCES.partition("## All")
    rows = re.findall(r"^\| ([a-z0-9._-]+) \| .* \| (.+) \|$", table, re.MULTILINE)
    special = re.compile("GPL|MPL|Mozilla|proprietary|end user", re.IGNORECASE)
    named = {name for name, licence in rows if special.search(licence)}
    assert named
    assert set(re.findall("`([a-z0-9._-]+)`", head.partition("## Worth")[2])) == named


def test_nothing_that_we_require_is_under_the_gpl() -> None:
    """Of GPL and AGPL, that is; the LGPL's libraries are used as they are."""
    table = LICENCES.partition("## All")[2]
    assert not re.findall(r"^.*\| [^|]*\b(?:A?GPL)[^|]*\|$", table, re.MULTILINE)
