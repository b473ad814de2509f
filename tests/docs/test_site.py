"""The documentation as a site: it builds, no link in it is broken, and it needs no other host."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.sources import ROOT

MKDOCS = ROOT / ".cache" / "clients" / "docs" / "bin" / "mkdocs"
# What a browser loads by itself.
LOADED = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href|srcset)="([^"]+)"')
SETUP = "deploy/client-env.sh docs"

# Pages, and what is added to them.
NOWHERE = [
    ("docs/faq.md", "[a](no-page-1.md) [a](concepts.md#no-heading-1) [a](#no-heading-2)"),
    ("docs/faq.md", "[a](../CONTRIBUTING.md#no-heading-3) [a](../no/file-1.py) [a](/no-page-2)"),
    ("README.md", "[a](docs/no-page-3.md) [a](docs/faq.md#no-heading-4)"),
    ("CHANGELOG.md", "![a](docs/pictures/no-picture-1.png)"),
    ("docs/no-page-4.md", "A page that is not in the navigation."),
]
NAMED = [
    *(f"no-page-{number}" for number in range(1, 5)),
    *(f"no-heading-{number}" for number in range(1, 5)),
    *("no/file-1.py", "no-picture-1.png"),
]

pytestmark = [
    pytest.mark.skipif(
        not MKDOCS.exists() and "CI" not in os.environ, reason=f"not installed: {SETUP}"
    ),
    pytest.mark.xdist_group("site"),  # built once
]


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [MKDOCS, "build", "--strict", "--site-dir", site]
    command += ["--config-file", root / "deploy" / "docs" / "mkdocs.yml"]
    return subprocess.run(
        command,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    built = {path.parent.relative_to(site) for path in site.rglob("index.html")}
    assert {page for page in pages if page.name != "README"} <= built
    assert {Path(), Path("project"), Path("project/CONTRIBUTING")} <= built


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {
        (page.relative_to(site).as_posix(), url)
        for page in site.rglob("*.html")
        for url in LOADED.findall(page.read_text(encoding="utf-8"))
        if not url.startswith("data:")
    }
    assert loaded
    assert not {(page, url) for page, url in loaded if re.match(r"(https?:)?//", url)}
    # Pictures of HTML that Markdown does not check.
    assert not {
        (page, url)
        for page, url in loaded
        if page != "404.html" and not (site / page).parent.joinpath(url.partition("?")[0]).exists()
    }


def test_the_search_finds_every_page(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "concepts/#the-receipt" in index


def test_a_bar_in_a_table_is_shown_without_what_a_code_host_needs(site: Path) -> None:
    markers = html.unescape((site / "models" / "index.html").read_text(encoding="utf-8"))
    assert "<|startofthought|>" in markers
    assert "<\\|" not in markers


def test_what_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copied = ("deploy", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
    for name in (*copied, "clients/examples", "tests/sdk"):
        source, target = ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for page, text in NOWHERE:
        with (copy / page).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    built = build(copy, tmp_path / "site")
    assert built.returncode != 0
    assert [text for text in NAMED if text not in built.stderr] == []
