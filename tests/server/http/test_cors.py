"""Web pages of the listed origins may use the server; keys are needed as before."""

import pytest

from server.http.cors import EXPOSED_HEADERS
from server.settings.settings import ServerSettings
from tests.server.conftest import Serve, chat_body
from tests.server.keys.conftest import (
    ALICE,
    ServeKeys,
    key_file,
    make_entry,
    serve_keys,
    to_bearer,
)

__all__ = ["key_file", "serve_keys"]  # fixtures

PAGE, OTHER = "http://localhost:3000", "https://evil.example"
CHAT = "/v1/chat/completions"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}
PATHS = [CHAT, "/v1/models", "/v1/messages", "/v1/responses", "/chat/completions/"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [PAGE, "app://obsidian.md", "null"])
async def test_a_preflight_needs_no_key_and_allows_what_clients_send(
    serve_keys: ServeKeys, path: str, origin: str
) -> None:
    served = serve_keys(allowed_origins=[PAGE, "app://obsidian.md", "null"])
    answer = await served.http.options(path, headers={"origin": origin, **PREFLIGHT})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert (
        answer.headers["access-control-allow-headers"]
        == PREFLIGHT["access-control-request-headers"]
    )
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_needs_a_key_and_can_read_why(serve_keys: ServeKeys) -> None:
    served = serve_keys(allowed_origins=PAGE)
    for headers, status in (({}, 401), (to_bearer(ALICE), 200)):
        body = chat_body(max_completion_tokens=8)
        answer = await served.http.post(CHAT, json=body, headers={"origin": PAGE, **headers})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", [OTHER, f"{PAGE}0", f"{PAGE}.evil.example", "http://localhost"])
async def test_a_page_of_another_origin_reads_nothing(serve: Serve, origin: str) -> None:
    served = serve(allowed_origins=[PAGE])
    asked = await served.http.options(CHAT, headers={"origin": origin, **PREFLIGHT})
    answer = await served.http.get("/v1/models", headers={"origin": origin})
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in {**asked.headers, **answer.headers}


async def test_a_star_is_for_all_and_never_with_credentials(serve: Serve) -> None:
    served = serve(allowed_origins='["*"]')
    asked = await served.http.options(CHAT, headers={"origin": OTHER, **PREFLIGHT})
    answer = await served.http.get("/v1/models", headers={"origin": OTHER, "cookie": "a=b"})
    for response in (asked, answer):
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


async def test_a_page_can_read_our_headers(serve_keys: ServeKeys) -> None:
    limits = {f"quota.{name}": "1000" for name in ("requests_per_minute", "tokens_per_day",
                                                  "reasoning_tokens_per_day")}  # fmt: skip
    served = serve_keys(make_entry("alice", ALICE, **limits), allowed_origins=[PAGE])
    headers = {"origin": PAGE, **to_bearer(ALICE)}
    body = chat_body(max_completion_tokens=8)
    ours = [await served.http.post(CHAT, json=body, headers=headers)]
    ours.append(
        await served.http.post("/v1/messages", json=chat_body(max_tokens=8), headers=headers)
    )
    for answer in ours:
        assert answer.status_code == 200, answer.text
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert exposed == list(EXPOSED_HEADERS)
        named = [name for name in answer.headers if "ratelimit" in name or "request-id" in name]
        assert named
        assert set(named) <= set(exposed)
    assert {"retry-after", "x-ignored-fields"} <= set(EXPOSED_HEADERS)


async def test_without_the_option_there_is_no_cors_and_an_origin_harms_nothing(
    serve: Serve,
) -> None:
    served = serve()
    for origin in (PAGE, "app://obsidian.md", "null"):
        body = chat_body(max_completion_tokens=8)
        answer = await served.http.post(CHAT, json=body, headers={"origin": origin})
        asked = await served.http.options(CHAT, headers={"origin": origin, **PREFLIGHT})
        assert (answer.status_code, asked.status_code) == (200, 405)
        for response in (answer, asked):
            assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000/", "localhost:3000", "http://*.example", "https://", "a b"]
)
def test_what_is_not_an_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        ServerSettings(allowed_origins=[origin])
