"""HEAD is answered wherever GET is, with the headers of GET and no body."""

import pytest
from starlette.routing import Route

from tests.attack.conftest import Attacked, attacked_server
from tests.server.conftest import MODEL, Serve
from tests.server.scraping import scrape

PATHS = ["/", "/api/hello", "/health", "/version", "/metrics", "/docs", "/openapi.json", "/models",
         "/v1/models", f"/v1/models/{MODEL}", "/tokenizer_info"]  # fmt: skip
# Of each response its own, or counted anew by each request.
VARYING = ("x-request-id", "content-length")


@pytest.mark.parametrize("path", PATHS)
async def test_the_headers_are_those_of_get(serve: Serve, path: str) -> None:
    served = serve()
    get, head = await served.http.get(path), await served.http.head(path)
    assert (get.status_code, head.status_code) == (200, 200)
    assert head.content == b""
    assert "content-length" in head.headers
    kept = [{k: v for k, v in r.headers.items() if k not in VARYING} for r in (get, head)]
    assert kept[0] == kept[1]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(get.content))


async def test_every_path_answers_head_as_it_answers_get(serve: Serve) -> None:
    served = serve()
    paths = [route.path for route in served.app.routes if isinstance(route, Route)]
    assert len(paths) > 15
    for path in paths:
        get, head = await served.http.get(path), await served.http.head(path)
        assert head.status_code == get.status_code, path


async def test_a_head_counts_as_its_endpoint(serve: Serve) -> None:
    served = serve()
    await served.http.head("/v1/models/nope")
    series = (await scrape(served)).list_series()
    assert any("/v1/models/{model_name:path}" in str(entry) for entry in series)


async def test_the_root_says_where_the_apis_are(serve: Serve) -> None:
    root = (await serve().http.get("/")).json()
    assert root["name"] == "thinking-server"
    assert (root["openai_base_url"], root["anthropic_base_url"]) == ("/v1", "/")


def test_nothing_follows_the_headers_on_the_wire() -> None:
    with attacked_server() as server:
        for path in ("/", "/v1/models", "/v1/nope"):
            for close in ("", "Connection: close\r\n"):
                check_head(server, path, close)


def check_head(server: Attacked, path: str, close: str) -> None:
    """Two on one connection: a body would be read as the beginning of the second answer."""
    with server.connect() as client:
        for _ in range(1 if close else 2):
            client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n".encode())
            answer = client.recv(2**16)
            assert answer.startswith(b"HTTP/1.1 "), answer
            assert answer.endswith(b"\r\n\r\n")
            assert answer.count(b"\r\n\r\n") == 1
