"""Hook of mkdocs: pages that are written for a code host are right on the site too.

What they link to outside of ``docs/`` is on the site, under ``project/``.

A page's links are those of the repository, so that it also reads on a code host. Knows no page by
name but those that are in the navigation. Does not check links: mkdocs does, after this.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "project/"
# Pages outside of docs/ that are read as a whole.
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/requirements/README.md")
# Tables of five columns need more room than the theme gives.
STYLE, WIDE = "assets/wide.css", ".md-grid { max-width: 78rem; }\n"
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
# Of a picture for light and dark pages, which Markdown cannot say.
_ROW = re.compile(r"^\|.*$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_PICTURE = re.compile(r'(\b(?:src|srcset)=")([^"]+)(")')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside of docs/, and the files outside of it that any page links to."""
    wanted = set(PAGES)
    for source in [*(ROOT / "docs").rglob("*.md"), *(ROOT / page for page in PAGES)]:
        path = source.relative_to(ROOT).as_posix()
        wanted |= {target for target in _list_targets(path) if not target.startswith("docs/")}
    files.append(File.generated(config, STYLE, content=WIDE))
    for path in sorted(wanted):
        files.append(File.generated(config, OUTSIDE + path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links as they are on the site."""
    here = page.file.src_uri
    source = here.removeprefix(OUTSIDE) if here.startswith(OUTSIDE) else f"docs/{here}"

    def rewrite(match: re.Match[str]) -> str:
        target = _resolve(source, match[2])
        if target is None:
            return match[0]
        moved = posixpath.relpath(_place_on_site(target), posixpath.dirname(here) or ".")
        return match[1] + moved + match[3]

    markdown = _ROW.sub(lambda row: _CODE.sub(_unescape_bars, row[0]), markdown)
    return _PICTURE.sub(rewrite, _LINK.sub(rewrite, markdown))


def _unescape_bars(code: re.Match[str]) -> str:
    """Return code in a table as it is here; a code host wants its bars escaped."""
    return code[0].replace("\\|", "|")


def _list_targets(source: str) -> Iterator[str]:
    text = (ROOT / source).read_text(encoding="utf-8")
    for _, link, _ in _LINK.findall(text):
        target = _resolve(source, link)
        if target is not None:
            yield target


def _resolve(source: str, link: str) -> str | None:
    """Return the file, from the root, to which a page links; None: elsewhere, or there is none."""
    if "://" in link or link.startswith(("/", "mailto:")):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return target if not target.startswith("..") and (ROOT / target).is_file() else None


def _place_on_site(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else OUTSIDE + path
