"""Restrictions of keys on every endpoint, and isolation between their holders."""

from pathlib import Path
from typing import Any

import pytest

from server.traces.access import TOKEN_VARIABLE
from tests.server.conftest import MODEL, Served, chat_body
from tests.server.keys.conftest import (
    ALICE,
    ANSWER,
    BOB,
    THOUGHT,
    ServeKeys,
    make_entry,
    open_client,
    to_bearer,
)

QUESTION = [{"role": "user", "content": "How many?"}]
TRACES, FEEDBACK = "/v1/thinking/traces", "/v1/thinking/feedback"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/completions": {"prompt": "How many?"},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 100},
    "/v1/messages/count_tokens": {"messages": QUESTION},
    "/v1/responses": {"input": "How many?"},
    "/v1/thinking/map": {"text": "so it is", "messages": QUESTION},
    "/tokenize": {"prompt": "How many?"},
    "/detokenize": {"tokens": [1, 2]},
}


async def post(served: Served, secret: str, path: str, **fields: Any) -> Any:
    body = {"model": MODEL, "temperature": 0, **BODIES[path], **fields}
    if path in ("/tokenize", "/detokenize", "/v1/messages/count_tokens"):
        del body["temperature"]
    return await served.http.post(path, json=body, headers=to_bearer(secret))


@pytest.mark.parametrize("path", BODIES)
async def test_a_model_that_a_key_may_not_use_does_not_exist_for_it(
    serve_keys: ServeKeys, path: str
) -> None:
    served = serve_keys(
        make_entry("alice", ALICE, models=f'["{MODEL}"]'),
        make_entry("bob", BOB, models='["other"]'),
    )
    assert (await post(served, ALICE, path)).status_code == 200
    for name in (MODEL, "other"):
        refused = await post(served, BOB, path, model=name)
        assert refused.status_code == 404
        assert MODEL not in refused.text
        if not path.startswith("/v1/messages"):
            assert refused.json()["error"]["code"] == "model_not_found"


async def test_only_allowed_models_are_listed(serve_keys: ServeKeys) -> None:
    served = serve_keys(make_entry("alice", ALICE), make_entry("bob", BOB, models='["other"]'))
    for version in ({}, {"anthropic-version": "2023-06-01"}):
        mine = await served.http.get("/v1/models", headers=to_bearer(ALICE) | version)
        assert [model["id"] for model in mine.json()["data"]] == [MODEL]
        none = await served.http.get("/v1/models", headers=to_bearer(BOB) | version)
        assert (none.status_code, none.json()["data"]) == (200, [])
        one = await served.http.get(f"/v1/models/{MODEL}", headers=to_bearer(BOB) | version)
        assert one.status_code == 404
    assert (await served.http.get("/tokenizer_info", headers=to_bearer(BOB))).status_code == 404


@pytest.mark.parametrize("asked", [{"max_thinking_tokens": 50}, {"reasoning_effort": "high"}, {}])
async def test_no_budget_is_larger_than_the_keys_ceiling(
    serve_keys: ServeKeys, asked: dict[str, Any]
) -> None:
    served = serve_keys(make_entry("alice", ALICE, max_thinking_tokens="6"), make_entry("bob", BOB))
    for path in ("/v1/chat/completions", "/v1/completions"):
        reply = (await post(served, ALICE, path, max_tokens=200, **asked)).json()
        receipt = reply["choices"][0]["thinking"]
        assert (receipt["budget"], receipt["limited_by"]) == (6, "key")
        assert receipt["used"] <= 6
        free = (await post(served, BOB, path, max_tokens=200, **asked)).json()
        assert free["choices"][0]["thinking"]["limited_by"] != "key"
    response = (await post(served, ALICE, "/v1/responses", **asked)).json()
    message = (await post(served, ALICE, "/v1/messages", **asked)).json()
    for receipt in (response["thinking"], message["thinking"]):
        assert (receipt["budget"], receipt["limited_by"]) == (6, "key")


async def test_the_lower_ceiling_of_server_and_key_applies(serve_keys: ServeKeys) -> None:
    served = serve_keys(
        make_entry("alice", ALICE, max_thinking_tokens="6"),
        make_entry("bob", BOB, max_thinking_tokens="30"),
        max_thinking_tokens=20,
    )
    for secret, budget, by in ((ALICE, 6, "key"), (BOB, 20, "model")):
        reply = await post(served, secret, "/v1/chat/completions", max_thinking_tokens=99)
        receipt = reply.json()["choices"][0]["thinking"]
        assert (receipt["budget"], receipt["limited_by"]) == (budget, by)
        models = (await served.http.get("/v1/models", headers=to_bearer(secret))).json()
        assert models["data"][0]["thinking"]["max_tokens"] == budget


async def test_a_maps_thoughts_keep_to_the_keys_ceiling(serve_keys: ServeKeys) -> None:
    served = serve_keys(make_entry("alice", ALICE, max_thinking_tokens="6"), make_entry("bob", BOB))
    path = "/v1/thinking/map"
    assert (await post(served, ALICE, path, thought_tokens=6)).status_code == 200
    refused = await post(served, ALICE, path, thought_tokens=7)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "thought_tokens")
    assert (await post(served, BOB, path, thought_tokens=7)).status_code == 200


SHOWING = ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses",
           "/v1/thinking/map"]  # fmt: skip


@pytest.mark.parametrize("path", SHOWING)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_may_not_see_thoughts_sees_none(
    serve_keys: ServeKeys, path: str, stream: bool
) -> None:
    served = serve_keys(make_entry("alice", ALICE), make_entry("bob", BOB, show_thoughts="false"))
    refused = await post(served, BOB, path, include_reasoning=True, stream=stream)
    assert refused.status_code == 403
    if path != "/v1/messages":
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("not_allowed", "include_reasoning")
    hidden = await post(served, BOB, path, stream=stream)
    assert hidden.status_code == 200
    assert THOUGHT not in hidden.text
    assert (await post(served, ALICE, path, include_reasoning=True)).status_code == 200


async def test_messages_return_redacted_blocks_to_a_key_without_thoughts(
    serve_keys: ServeKeys,
) -> None:
    served = serve_keys(make_entry("alice", ALICE), make_entry("bob", BOB, show_thoughts="false"))
    thinking = {"type": "enabled", "budget_tokens": 40}
    kinds = []
    for secret in (ALICE, BOB):
        # The request does not set `display`, so the key's permission decides.
        reply = (await post(served, secret, "/v1/messages", thinking=thinking)).json()
        kinds.append(reply.get("error") or reply["content"][0]["type"])
    assert kinds[1] == "redacted_thinking", kinds
    assert kinds[0] == "thinking"


async def test_a_response_is_visible_to_its_own_key_only(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    stored = (await post(served, ALICE, "/v1/responses")).json()["id"]
    url = f"/v1/responses/{stored}"
    async with open_client(served, BOB) as bob, open_client(served, ALICE) as alice:
        for method, place in (
            ("GET", url),
            ("GET", f"{url}/input_items"),
            ("POST", f"{url}/cancel"),
            ("DELETE", url),
        ):
            refused = await bob.request(method, place)
            assert refused.status_code == 404
            assert refused.json()["error"]["code"] == "response_not_found"
        follow_up = await post(served, BOB, "/v1/responses", previous_response_id=stored)
        assert follow_up.status_code == 400
        assert follow_up.json()["error"]["code"] == "previous_response_not_found"
        item = {"type": "item_reference", "id": f"msg_{stored.removeprefix('resp_')}_in0"}
        assert (await post(served, BOB, "/v1/responses", input=[item])).status_code == 400
        assert (await post(served, ALICE, "/v1/responses", input=[item])).status_code == 200
        own = await post(served, ALICE, "/v1/responses", previous_response_id=stored)
        assert own.status_code == 200
        assert (await alice.get(url)).status_code == 200
        assert (await alice.delete(url)).status_code == 200


async def test_a_thought_sealed_for_one_key_is_left_out_for_another(
    serve_keys: ServeKeys,
) -> None:
    served = serve_keys()
    thinking = {"type": "enabled", "budget_tokens": 40}
    message = (await post(served, ALICE, "/v1/messages", thinking=thinking)).json()
    turns = [*QUESTION, {"role": "assistant", "content": message["content"]}, *QUESTION]
    response = await post(
        served, ALICE, "/v1/responses", include=["reasoning.encrypted_content"], store=False
    )
    items = [*response.json()["output"], {"role": "user", "content": "And now?"}]
    for secret in (ALICE, BOB):
        for path, fields in (
            ("/v1/messages", {"messages": turns}),
            ("/v1/messages/count_tokens", {"messages": turns}),
            ("/v1/responses", {"input": items}),
        ):
            answered = await post(served, secret, path, **fields)
            assert answered.status_code == 200, (path, answered.text)
            assert ("x-ignored-fields" in answered.headers) is (secret is BOB)


def serve_traced(serve_keys: ServeKeys, tmp_path: Path, *entries: str) -> Served:
    return serve_keys(*entries, trace_store=str(tmp_path / "traces.sqlite"))


async def test_a_key_rates_its_own_traces_only(serve_keys: ServeKeys, tmp_path: Path) -> None:
    reader = make_entry("reader", "reader-" + "r" * 40, reads_traces="true")
    served = serve_traced(
        serve_keys, tmp_path, make_entry("alice", ALICE), make_entry("bob", BOB), reader
    )
    asked = (await post(served, ALICE, "/v1/chat/completions")).json()["id"]
    for secret, status in ((BOB, 404), (ALICE, 200), ("reader-" + "r" * 40, 200)):
        verdict = {"id": asked, "choice": 0, "verdict": "good", "verifier": secret[:3]}
        judged = await served.http.post(FEEDBACK, json=verdict, headers=to_bearer(secret))
        assert judged.status_code == status, judged.text
    read = await served.http.get(TRACES, headers=to_bearer("reader-" + "r" * 40))
    assert read.status_code == 200
    assert '"key": "alice"' in read.text
    assert ANSWER in read.text


async def test_traces_need_reads_traces_or_the_token(
    serve_keys: ServeKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a-token-of-some-length"
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    served = serve_traced(
        serve_keys,
        tmp_path,
        make_entry("alice", ALICE, reads_traces="true"),
        make_entry("bob", BOB),
    )
    asked = (await post(served, BOB, "/v1/chat/completions")).json()["id"]
    found = {}
    for secret in (ALICE, BOB, token, token + "x"):
        # A local client: with keys configured, that grants nothing.
        async with open_client(served, secret, "http://127.0.0.1") as client:
            found[secret] = (await client.get(TRACES)).status_code
    assert list(found.values()) == [200, 403, 200, 401]
    async with open_client(served, token) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.delete(f"{TRACES}/{asked}")).status_code == 204
