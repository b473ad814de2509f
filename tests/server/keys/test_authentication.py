"""Requests without a valid key are refused, and the refusal reveals nothing."""

import logging
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic import AuthenticationError as AnthropicAuthenticationError
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, AuthenticationError
from starlette.routing import Route

from server.app import create_app
from server.middleware.keys import OPEN_PATHS, OPEN_PREFIX
from tests.server.conftest import MODEL, chat_body, make_services
from tests.server.keys.conftest import (
    ALICE,
    BOB,
    EVE,
    KeyFile,
    ServeKeys,
    call,
    make_entry,
    open_client,
    to_bearer,
)

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"


def list_routes(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, route.path.replace("{", "").replace("}", "").replace(":path", ""))
        for route in app.routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
    ]


async def test_every_route_needs_a_key_unless_listed(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    found = list_routes(served.app)
    assert len(found) > 20
    async with open_client(served) as stranger, open_client(served, EVE) as eve:
        for method, path in found:
            for client in (stranger, eve):
                response = await client.request(method, path)
                if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
                    assert response.status_code != 401
                else:
                    assert response.status_code == 401, (method, path)
                    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1/nope", "/health/x", "/HEALTH", "/%2e/health", "/health%00", "/metrics/",
     "/version", "/version/", "/models", "/v1//models/", "/api", "/health%2f..%2fv1/models",
     "/health;/v1/models"],
)  # fmt: skip
async def test_clients_without_a_key_cannot_tell_which_paths_exist(
    serve_keys: ServeKeys, path: str
) -> None:
    served = serve_keys()
    for method in ("GET", "POST", "OPTIONS", "HEAD", "DELETE", "BREW"):
        response = await served.http.request(method, path)
        assert response.status_code == 401, method


@pytest.mark.parametrize(
    "path",
    ["/.", "/..", "//version//", "/health/../v1/models", "//health/../v1/models",
     "/v1/models/../../health", "/health//../v1/models", "/api/hello/../../v1/models",
     "/health/.", "/./health", "/../health", "/health\\..\\v1", "//", ""],
)  # fmt: skip
async def test_dots_and_slashes_lead_to_no_open_path(app_with_keys: FastAPI, path: str) -> None:
    """As a raw client sends them; httpx would take them out."""
    expected = 405 if path == "//" else 401  # the root, which is open to GET
    assert await call(app_with_keys, [], path) == expected


@pytest.mark.parametrize("path", ["/health", "/health/", "//health", "/", "//", "/api/hello/"])
async def test_an_open_path_is_open_in_each_spelling(serve_keys: ServeKeys, path: str) -> None:
    answer = await serve_keys().http.get(path)
    assert answer.status_code == 200
    assert MODEL not in answer.text


async def test_either_header_is_accepted(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    for headers in (
        to_bearer(ALICE),
        {"authorization": f"bearer   {ALICE} "},
        {"x-api-key": ALICE},
        {"x-api-key": ALICE, **to_bearer(ALICE)},
    ):
        response = await served.http.post(CHAT, json=chat_body(), headers=headers)
        assert response.status_code == 200, headers
    assert (await served.http.get("/nope", headers=to_bearer(ALICE))).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", ALICE)],
        [("authorization", f"Basic {ALICE}")],
        [("authorization", f"Bearer {EVE}")],
        [("authorization", f"Bearer Bearer {ALICE}")],
        [("authorization", f"Bearer {ALICE}, Bearer {ALICE}")],
        [("x-api-key", "")],
        [("x-api-key", f"Bearer {ALICE}")],
        [("authorization", f"Bearer {ALICE}"), ("x-api-key", BOB)],
        [("authorization", f"Bearer {ALICE}"), ("x-api-key", EVE)],
        [("authorization", f"Bearer {ALICE}"), ("x-api-key", "")],
        [("authorization", f"Bearer {ALICE}"), ("authorization", f"Bearer {BOB}")],
        [("authorization", "Basic Zm9vOmJhcg=="), ("x-api-key", ALICE)],
        [("x-api-key", ALICE), ("x-api-key", BOB)],
    ],
)
async def test_no_other_headers_are_accepted(
    serve_keys: ServeKeys, headers: list[tuple[str, str]]
) -> None:
    response = await serve_keys().http.get(MODELS, headers=headers)
    assert response.status_code == 401
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_api_key", None)


async def test_all_refusals_are_the_same(serve_keys: ServeKeys, key_file: KeyFile) -> None:
    served = serve_keys(
        make_entry("alice", ALICE),
        f'[[keys]]\nid = "bob"\nhashes = [{{ hash = "sha256:{"0" * 64}", '
        "expires = 2001-01-01T00:00:00Z }]\n",
    )
    messages = {
        (await served.http.get(path, headers=headers)).text
        for path in (MODELS, "/nope", "/metrics")
        for headers in (
            {},
            to_bearer(EVE),
            to_bearer("alice"),
            to_bearer(BOB),
            {"x-api-key": ALICE[:-1]},
        )
    }
    assert len(messages) == 1


NAMES = st.sampled_from([b"authorization", b"x-api-key", b"host", b"cookie"])
VALUES = st.binary(max_size=80) | st.sampled_from(
    [b"Bearer", b"Bearer ", b"Basic x", b"Bearer \xff\x00", b"[", b"[::1", b"a" * 10_000]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
async def test_mangled_headers_are_refused_before_the_body_is_read(
    app_with_keys: FastAPI, headers: list[tuple[bytes, bytes]]
) -> None:
    assert await call(app_with_keys, headers) == 401


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
async def test_a_secret_with_one_changed_character_is_refused(
    app_with_keys: FastAPI, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(ALICE) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != ord(ALICE[place])))
    secret = ALICE.encode()
    changed = secret[:place] + bytes([other]) + secret[place + 1 :]
    header = data.draw(st.sampled_from([b"x-api-key", b"authorization"]))
    prefix = b"Bearer " if header == b"authorization" else b""
    assert await call(app_with_keys, [(header, prefix + changed)]) == 401


@pytest.mark.parametrize(
    "path", ["/v1/models/../../health", "/./health", "/health/..", "health", "", "/health\x00"]
)
async def test_no_path_variant_bypasses_the_key(app_with_keys: FastAPI, path: str) -> None:
    assert await call(app_with_keys, [], path) == 401


@pytest.fixture
def app_with_keys(key_file: KeyFile) -> FastAPI:
    return create_app(make_services(keys_file=str(key_file.path)))


async def test_anthropics_paths_refuse_in_anthropics_shape(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/nope"):
        response = await served.http.post(path, json={})
        body = response.json()
        assert response.status_code == 401
        assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
        assert body["request_id"] == response.headers["request-id"]


def make_clients(app: FastAPI, secret: str) -> tuple[AsyncOpenAI, AsyncAnthropic]:
    transport = httpx2.ASGITransport(app)
    http = [httpx2.AsyncClient(transport=transport) for _ in range(2)]
    return (
        AsyncOpenAI(api_key=secret, base_url="http://test/v1", http_client=http[0], max_retries=0),
        AsyncAnthropic(api_key=secret, base_url="http://test", http_client=http[1], max_retries=0),
    )


async def test_the_clients_of_openai_and_anthropic_are_accepted_or_raise_their_error(
    serve_keys: ServeKeys,
) -> None:
    served = serve_keys()
    question: Any = [{"role": "user", "content": "How many?"}]
    for secret, is_accepted in ((ALICE, True), (EVE, False)):
        openai, anthropic = make_clients(served.app, secret)
        async with openai, anthropic:
            if is_accepted:
                await openai.chat.completions.create(model=MODEL, messages=question)
                await anthropic.messages.create(model=MODEL, messages=question, max_tokens=50)
                continue
            with pytest.raises(AuthenticationError) as refused:
                await openai.chat.completions.create(model=MODEL, messages=question)
            assert refused.value.code == "invalid_api_key"
            with pytest.raises(AnthropicAuthenticationError):
                await anthropic.messages.create(model=MODEL, messages=question, max_tokens=50)


async def test_metrics_need_a_key_with_reads_metrics_unless_open(serve_keys: ServeKeys) -> None:
    served = serve_keys(make_entry("alice", ALICE, reads_metrics="true"), make_entry("bob", BOB))
    assert (await served.http.get("/metrics")).status_code == 401
    assert (await served.http.get("/metrics", headers=to_bearer(ALICE))).status_code == 200
    refused = await served.http.get("/metrics", headers=to_bearer(BOB))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")


async def test_metrics_can_be_open(serve_keys: ServeKeys) -> None:
    served = serve_keys(metrics_access="open")
    assert (await served.http.get("/metrics")).status_code == 200
    assert (await served.http.get(MODELS)).status_code == 401


async def test_secrets_are_in_no_log_error_or_metric(
    serve_keys: ServeKeys, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    served = serve_keys(make_entry("alice", ALICE, reads_metrics="true"))
    output = ""
    for secret in (ALICE, EVE):
        for path in ("/metrics", MODELS, "/nope", f"/v1/models/{secret}x"):
            output += (await served.http.get(path, headers=to_bearer(secret))).text
        output += (await served.http.post(CHAT, json={"x": 1}, headers={"x-api-key": secret})).text
    output += "".join(capsys.readouterr())
    output += "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    for secret in (ALICE, EVE):
        assert secret not in output


async def test_a_websocket_is_closed(serve_keys: ServeKeys) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": MODELS, "headers": [], "query_string": b""}
    await serve_keys().app(scope, receive, send)
    assert sent == ["websocket.close"]


async def test_a_refusal_is_counted(serve_keys: ServeKeys) -> None:
    served = serve_keys(metrics_access="open")
    await served.http.get("/nope")
    text = (await served.http.get("/metrics")).text
    assert 'thinking_http_requests_total{endpoint="unknown",status="401"} 1.0' in text
