"""A client that hangs up can get its thought later, by the reply's id and under the same key."""

import asyncio
import json
from typing import Any

import pytest

from server.engine.scripted_model import RandomLogits
from server.stored_thoughts.store import SealedThoughtStore
from tests.server.conftest import VOCAB_SIZE, Serve, Served
from tests.server.continuing.conftest import CHAT, ENDPOINTS, FREE, INCLUDE, Endpoint, ask
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, to_bearer

LONG = {
    "max_thinking_tokens": 4000,
    "min_thinking_tokens": 4000,
    "thinking_options": FREE,
    "max_thinking_seconds": 100_000,  # so that no token waits in the engine for others
}


async def hang_up(served: Served, endpoint: Endpoint, num_tokens: int, /, **fields: Any) -> str:
    """Start a stream, leave it once `num_tokens` were generated, and return the reply's id."""
    found: list[str] = []
    leaving = asyncio.Event()
    body = json.dumps(endpoint.make_body(stream=True, **LONG, **fields)).encode()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        for line in message.get("body", b"").decode().split("\n"):
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                holder = event.get("response") or event.get("message") or event
                found.append(holder.get("id"))

    async def leave() -> None:
        while served.engine.num_generated < num_tokens or not found:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        leaving.set()

    headers = [(b"content-type", b"application/json")]
    headers += [(k.encode(), v.encode()) for k, v in served.http.headers.items() if k != "host"]
    scope = {
        "type": "http",
        "method": "POST",
        "path": endpoint.path,
        "raw_path": endpoint.path.encode(),
        "query_string": b"",
        "headers": [*headers, (b"host", b"test")],
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }
    await asyncio.gather(served.app(scope, receive, send), leave())
    return found[0]


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_it_is_kept_for_the_client_and_goes_on(serve: Serve, name: str) -> None:
    endpoint = ENDPOINTS[name]
    served = serve(RandomLogits(VOCAB_SIZE), max_model_len=5000)
    limit = {endpoint.limit: 4500}
    reply_id = await hang_up(served, endpoint, 50, **INCLUDE, **limit)
    response = await served.http.get(f"/v1/thinking/{reply_id}")
    assert response.status_code == 200, response.text
    kept = response.json()
    assert (kept["id"], kept["object"]) == (reply_id, "thinking.sealed")
    (choice,) = kept["choices"]
    receipt = choice["thinking"]
    assert receipt["stop"] == "cancelled"
    assert receipt["used"] >= 40
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 20}
    later = await ask(served, endpoint, continue_thinking=going_on, **limit)
    assert later["continued"] == receipt["used"]  # nothing was forced, nothing is lost


async def test_nothing_is_kept_unless_asked(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), max_model_len=5000)
    reply_id = await hang_up(served, CHAT, 50, max_tokens=4500)
    response = await served.http.get(f"/v1/thinking/{reply_id}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "sealed_thought_not_found"
    assert "include: ['thinking.sealed']" in response.json()["error"]["message"]


async def test_another_key_does_not_see_it(serve_keys: ServeKeys) -> None:
    served = serve_keys(max_model_len=5000)
    served.http.headers.update(to_bearer(ALICE))
    reply_id = await hang_up(served, CHAT, 50, max_tokens=4500, **INCLUDE)
    assert (await served.http.get(f"/v1/thinking/{reply_id}")).status_code == 200
    served.http.headers.update(to_bearer(BOB))
    of_other = await served.http.get(f"/v1/thinking/{reply_id}")
    unknown = await served.http.get("/v1/thinking/chatcmpl-of-nobody")
    assert of_other.status_code == unknown.status_code == 404
    assert of_other.json() == unknown.json()


async def test_an_ended_reply_is_kept_too_with_the_choices_of_all_prompts(serve: Serve) -> None:
    served, endpoint = serve(RandomLogits(VOCAB_SIZE)), ENDPOINTS["completions"]
    budget = {"max_thinking_tokens": 30, "min_thinking_tokens": 30}
    body = endpoint.make_body(prompt=["One", "Two"], n=2, temperature=1, **budget, **INCLUDE)
    reply = (await served.http.post(endpoint.path, json=body)).json()
    kept = (await served.http.get(f"/v1/thinking/{reply['id']}")).json()
    assert [c["thinking"] for c in kept["choices"]] == [c["thinking"] for c in reply["choices"]]
    assert [c["index"] for c in kept["choices"]] == [0, 1, 2, 3]


async def test_the_store_can_be_switched_off(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), max_model_len=5000, thought_store_max_bytes=0)
    reply_id = await hang_up(served, CHAT, 50, max_tokens=4500, **INCLUDE)
    assert (await served.http.get(f"/v1/thinking/{reply_id}")).status_code == 404


def test_the_store_is_bounded_and_forgets() -> None:
    now = 0.0
    store = SealedThoughtStore(1000, 60, lambda: now)
    for number in range(100):
        store.put("alice", f"r{number}", [{"sealed": "x" * 100}])
    kept = [number for number in range(100) if store.get("alice", f"r{number}")]
    assert 0 < len(kept) < 10
    assert kept[-1] == 99
    assert store.get("bob", "r99") is None
    store.put("alice", "large", [{"sealed": "x" * 2000}])
    assert store.get("alice", "large") is None
    assert store.get("alice", "r99")
    now = 3601.0
    assert store.get("alice", "r99") is None
