"""The pages over HTTP: what is sent, with which headers, and to whom. Without a browser."""

import hashlib
import re
from pathlib import Path

import pytest

from server.pages.files import read_files
from tests.house.sources import ROOT
from tests.server.conftest import Serve
from tests.server.keys.conftest import KeyFile, make_entry

STATIC = ROOT / "server" / "pages" / "static"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = ["/", "/docs", "/status"]
FILES = sorted(read_files())


@pytest.mark.parametrize("path", PAGES)
async def test_a_browser_gets_a_page_that_may_load_nothing_from_elsewhere(
    serve: Serve, path: str
) -> None:
    response = await serve().http.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    # Swagger UI, which shows no text of a model, makes its HTML by itself.
    assert ("require-trusted-types-for 'script'" in policy) == (path != "/docs")
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not re.findall(r"""(?:src|href)="(?:https?:)?//""", response.text)


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_a_client_at_the_base_url_still_gets_json(serve: Serve, accept: str) -> None:
    response = await serve().http.get("/", headers={"accept": accept})
    assert response.json()["openai_base_url"] == "/v1"
    assert response.headers["vary"] == "accept"


async def test_pages_need_no_key_and_what_they_show_does(serve: Serve, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.toml")
    file.write(make_entry("alice", "sk-alice-0123456789abcdef"))
    served = serve(keys_file=str(file.path))
    for path in (*PAGES, f"/static/{FILES[0]}"):
        assert (await served.http.get(path, headers=HTML)).status_code == 200
    for path in ("/v1/models", "/metrics", "/v1/thinking/evaluation", "/static", "/statusx"):
        assert (await served.http.get(path, headers=HTML)).status_code == 401


async def test_pages_can_be_switched_off(serve: Serve) -> None:
    served = serve(pages=False)
    assert (await served.http.get("/", headers=HTML)).json()["name"] == "thinking-server"
    for path in ("/status", f"/static/{FILES[0]}"):
        response = await served.http.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "path",
    ["../files.py", "..%2ffiles.py", "vendor/README.md", "vendor", "", "vendor/../../router.py",
     "%2e%2e/router.py", "/etc/passwd"],
)  # fmt: skip
async def test_nothing_but_the_files_of_the_pages_is_sent(serve: Serve, path: str) -> None:
    response = await serve().http.get(f"/static/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"


async def test_a_page_never_runs_with_the_scripts_of_another_version(serve: Serve) -> None:
    http = serve().http
    for name in FILES:
        first = await http.get(f"/static/{name}")
        assert first.headers["cache-control"] == "no-cache"
        again = await http.get(f"/static/{name}", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


def test_every_file_that_is_named_exists() -> None:
    for path in STATIC.glob("*.html"):
        for named in re.findall(r'(?:src|href)="static/([^"]+)"', path.read_text()):
            assert named in FILES
    for path in STATIC.glob("app/*.js"):
        for named in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert f"app/{named}" in FILES, path


def test_no_script_of_ours_makes_html_or_code_of_text() -> None:
    dangerous = re.compile(
        r"innerHTML\b(?!=)|outerHTML|insertAdjacentHTML|document\.write|\beval\("
    )
    allowed = {"reply-view.js": "dangerouslySetInnerHTML=${{ __html: content }}"}
    for path in STATIC.glob("app/*.js"):
        text = path.read_text().replace(allowed.get(path.name, "\0"), "")
        assert not dangerous.search(text), path
        assert "dangerouslySetInnerHTML" not in text, path


def test_the_libraries_are_those_that_are_listed() -> None:
    vendor = STATIC / "vendor"
    listed = re.findall(
        r"^\| ([\w-]+) \| [\d.]+ \| .+ \| `([\w.-]+)` \| `(\w{64})` \|$",
        (vendor / "README.md").read_text(),
        re.MULTILINE,
    )
    sums = {name: digest for _, name, digest in listed}
    assert sums == {path.name: _digest(path) for path in vendor.glob("*.[cj]s*")}
    assert {f"{library}.LICENSE" for library, _, _ in listed} == {
        path.name for path in vendor.glob("*.LICENSE")
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
