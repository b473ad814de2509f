"""The files of the pages, read once: a closed set, so that no path leads out of the folder.

Knows nothing of requests.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from server.pages.content_policy import make_content_policy

CONTENT_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
API_PAGE = "api.html"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent. `content_policy`: of a page, "" for other files."""

    content: bytes
    content_type: str
    etag: str
    content_policy: str = ""


def read_files() -> Mapping[str, PageFile]:
    """Return the files that are sent, by their paths inside the folder ``static``."""
    found: dict[str, PageFile] = {}
    _collect(files("server.pages") / "static", "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, PageFile]) -> None:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            _collect(entry, f"{path}/", found)
            continue
        content_type = CONTENT_TYPES.get(entry.name[entry.name.rfind(".") :])
        if content_type is not None:  # licences are for people who read the source
            content = entry.read_bytes()
            is_page = content_type.startswith("text/html")
            policy = ""
            if is_page:
                has_trusted_types = path != API_PAGE
                policy = make_content_policy(content.decode(), has_trusted_types=has_trusted_types)
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[path] = PageFile(content, content_type, etag, policy)
