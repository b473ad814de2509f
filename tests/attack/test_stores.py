"""What is kept cannot be reached by guessing, nor by names that are programs or paths."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.settings.http import HttpSettings
from server.settings.settings import ServerSettings
from server.stored_responses.memory import MemoryResponses
from tests.attack.bodies import VALID
from tests.attack.conftest import attacked_server, status_of
from tests.server.conftest import Serve, wants

CRAFTED = (
    "' OR '1'='1",
    '"; DROP TABLE traces; --',
    "x' UNION SELECT * FROM sqlite_master --",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a" * 5_000,
    "chatcmpl-%25",
    "_%",
    "*",
)


@pytest.mark.parametrize("name", CRAFTED)
async def test_an_id_is_a_value_and_nothing_more(serve: Serve, tmp_path: Path, name: str) -> None:
    served = serve(wants("so</think>Seven."), trace_store=str(tmp_path / "traces.sqlite"))
    kept = (await served.chat()).json()["id"]
    for method, path in (
        ("DELETE", "/v1/thinking/traces/"),
        ("GET", "/v1/responses/"),
        ("DELETE", "/v1/responses/"),
        ("GET", "/v1/models/"),
    ):
        answer = await served.http.request(method, httpx.URL("http://test", path=path + name))
        assert answer.status_code in (400, 403, 404, 405, 422), answer.text
    body = {"id": name, "score": 1.0}
    answer = await served.http.post("/v1/thinking/feedback", json=body)
    assert answer.status_code in (400, 404), answer.text
    assert await _kept(served, kept)


@pytest.mark.parametrize("name", CRAFTED)
@pytest.mark.parametrize("parameter", ["limit", "after", "since", "verdict", "unknown"])
async def test_a_query_is_values_and_nothing_more(
    serve: Serve, tmp_path: Path, parameter: str, name: str
) -> None:
    served = serve(wants("so</think>Seven."), trace_store=str(tmp_path / "traces.sqlite"))
    answer = await served.http.get(
        "/v1/thinking/traces", params={parameter: name}, headers={"host": "localhost"}
    )
    assert answer.status_code == 400, answer.text
    assert "sqlite" not in answer.text.lower()


async def _kept(served: Any, trace_id: str) -> bool:
    answer = await served.http.get("/v1/thinking/traces", headers={"host": "localhost"})
    assert answer.status_code == 200
    return any(json.loads(line)["id"] == trace_id for line in answer.text.splitlines())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a_b.evil.example",
        "localhost_.evil.example",
        "[::1].evil.example",
        "127.0.0.1@evil.example",
        "[::1",
        "a b",
        "[",
    ],
)
def test_a_name_that_was_pointed_here_reads_no_traces(tmp_path: Path, host: str) -> None:
    """DNS rebinding: a web page whose own name leads to this machine."""
    with attacked_server(trace_store=str(tmp_path / "traces.sqlite")) as server:
        answer = server.send(
            b"GET /v1/thinking/traces HTTP/1.1\r\nConnection: close\r\n"
            + f"Host: {host}\r\n\r\n".encode()
        )
        assert status_of(answer) in (400, 403), answer


async def test_stored_responses_are_bounded(serve: Serve) -> None:
    served = serve(
        wants("so</think>Seven."),
        response_store_max_responses=5,
        response_store_max_bytes=20_000,
    )
    for _ in range(12):
        body = VALID["/v1/responses"] | {"store": True, "input": "a" * 300}
        assert (await served.http.post("/v1/responses", json=body)).status_code == 200
    stored = served.services.responses
    assert isinstance(stored, MemoryResponses)
    assert 0 < stored.num_stored <= 5
    assert stored.num_bytes <= 20_000


async def test_a_follow_up_cannot_grow_for_ever(serve: Serve) -> None:
    """Each goes on from the last: the model's context ends it."""
    served = serve(wants("so</think>Seven."))
    previous: dict[str, str] = {}
    for _ in range(40):
        body = VALID["/v1/responses"] | {"store": True, "input": "a" * 60} | previous
        answer = await served.http.post("/v1/responses", json=body)
        if answer.status_code == 400:
            assert answer.json()["error"]["code"] == "context_length_exceeded"
            return
        previous = {"previous_response_id": answer.json()["id"]}
    pytest.fail("it went on")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "localhost:80", "ftp://x/"])
def test_a_scorer_is_reached_by_http_only_and_named_by_the_operator_only(url: str) -> None:
    with pytest.raises(ValueError, match="scorer_url"):
        ServerSettings(scorer_url=url)


@pytest.mark.parametrize("field", ["scorer_url", "scorer", "reward_model"])
async def test_no_request_names_a_scorer(serve: Serve, field: str) -> None:
    served = serve()
    strategy = {"name": "reward", "n": 2, field: "http://127.0.0.1:9"}
    answer = await served.chat(thinking_options={"strategy": strategy})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_field"


LIMITS = [name for name, field in HttpSettings.model_fields.items() if field.annotation is not bool]


@pytest.mark.parametrize("field", LIMITS)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_no_limit_can_be_turned_off_by_mistake(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        ServerSettings(**{field: value})
