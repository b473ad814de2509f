"""Headers and paths are the caller's words: they open nothing, and nothing grows by them."""

import httpx
import pytest

from tests.attack.bodies import VALID
from tests.attack.conftest import CHAT, Attacked, status_of
from tests.server.conftest import Serve
from tests.server.scraping import scrape

EVIL = "https://evil.example"


def get(attacked: Attacked, target: str, *lines: str, method: str = "GET") -> bytes:
    """A request whose target is sent as it stands."""
    head = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *lines]
    return attacked.send("\r\n".join([*head, "", ""]).encode("latin-1"))


@pytest.mark.parametrize(
    "target",
    [
        "//health/../v1/models",
        "/health/../v1/models",
        "/health/..",
        "/models/../metrics",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/v1/..%2fmetrics",
        "/health%00",
        "/health%00.png",
        "/HEALTH",
        "/health/x",
        "/health;a=b",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/responses/..%2f..%2fetc%2fpasswd",
        "/v1/responses/%00",
        "/v1/models/%0d%0aSet-Cookie:%20a=b",
        "/%c3%28",
        "/%",
        "/%zz",
        "//evil.example/",
        "//evil.example/%2e%2e/",
        "/\\evil.example",
    ],
)
def test_a_path_is_taken_as_it_stands(attacked: Attacked, target: str) -> None:
    answer = get(attacked, target)
    assert status_of(answer) in (400, 404), answer
    assert b"set-cookie" not in answer.lower()
    assert b"location:" not in answer.lower()
    assert b"passwd" not in answer


def test_a_target_with_a_host_goes_nowhere_else(attacked: Attacked) -> None:
    assert status_of(get(attacked, "http://evil.example/health")) == 200
    assert b"evil" not in get(attacked, "http://evil.example/nowhere/")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:99999", "[::1", "a b", "%0d%0a", "x/y"]
)
def test_no_answer_repeats_the_host(attacked: Attacked, host: str) -> None:
    for target in ("/health/", "/v1/models", "/nowhere", "/docs"):
        answer = attacked.send(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert 200 <= status_of(answer) < 500
        assert host.encode() not in answer.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "method", ["TRACE", "TRACK", "PROPFIND", "PUT", "DELETE", "PATCH", "PURGE"]
)
def test_other_methods_do_nothing(attacked: Attacked, method: str) -> None:
    answer = get(attacked, "/v1/models", "X-Secret: hunter2", method=method)
    assert status_of(answer) in (400, 404, 405)
    assert b"hunter2" not in answer


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_method_is_not_overridden(attacked: Attacked, name: str) -> None:
    assert status_of(get(attacked, "/health", f"{name}: DELETE")) == 200
    assert status_of(get(attacked, CHAT, f"{name}: POST")) == 405


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"])
def test_a_path_is_not_overridden(attacked: Attacked, name: str) -> None:
    assert status_of(get(attacked, "/nowhere", f"{name}: /metrics")) == 404


@pytest.mark.parametrize(
    "value",
    ["a\tb", "a%0d%0aSet-Cookie: a=b", "\xff\xfe", "ünï", "a" * 129, "{}", "../../x", "<script>"],
)
def test_a_request_id_that_is_not_sane_is_not_repeated(attacked: Attacked, value: str) -> None:
    for path in ("/health", "/v1/messages", "/nowhere"):
        answer = get(attacked, path, f"X-Request-Id: {value}")
        assert status_of(answer) in (200, 404, 405)
        assert value.encode("latin-1") not in answer
        assert b"set-cookie" not in answer.lower()


def test_a_model_name_is_not_repeated(attacked: Attacked) -> None:
    name = "<script>\r\nSet-Cookie: a=b"
    for path, body in VALID.items():
        answer = httpx.post(attacked.url + path, json=body | {"model": name}, timeout=60)
        assert answer.status_code == 404
        assert "script>" not in answer.text
        assert "set-cookie" not in answer.headers


def test_no_stranger_may_read_from_a_web_page(attacked: Attacked) -> None:
    """A browser asks first where a request is not simple; and a simple one is refused."""
    asked = httpx.options(
        attacked.url + CHAT,
        headers={"origin": EVIL, "access-control-request-method": "POST"},
    )
    assert asked.status_code == 405
    answers = [asked, httpx.get(f"{attacked.url}/v1/models", headers={"origin": EVIL}, timeout=60)]
    answers.append(
        httpx.post(attacked.url + CHAT, headers={"origin": EVIL}, content=b"{}", timeout=60)
    )
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answers[-1].status_code == 415


async def test_no_caller_makes_metrics_grow(serve: Serve) -> None:
    """Paths, methods, models, request ids and field names: none becomes a label of its own."""
    served = serve()
    for number in range(2):  # what each kind of answer adds once, and the scrape itself
        await _flood(served.http, f"warm{number}")
        before = (await scrape(served)).list_series()
    for number in range(200):
        await _flood(served.http, f"flood{number}")
    assert (await scrape(served)).list_series() == before


async def _flood(client: httpx.AsyncClient, word: str) -> None:
    named = {"x-request-id": word, "user-agent": word, "authorization": f"Bearer {word}"}
    await client.get(f"/{word}", headers=named)
    await client.get(f"/v1/models/{word}", headers=named)
    await client.get(f"/v1/responses/{word}")
    await client.request(word.upper(), "/health")
    await client.request("PATCH", f"/{word}")
    message = {"role": "user", "content": "a"}
    await client.post(CHAT, json={"model": word, "messages": [message]})
    await client.post(CHAT, json={word: word})


def test_no_answer_names_the_programs_behind_it(attacked: Attacked) -> None:
    for path in ("/health", "/nowhere", "/v1/models"):
        assert "server" not in httpx.get(attacked.url + path, timeout=60).headers
