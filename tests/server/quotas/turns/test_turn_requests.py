"""Turns through the app: what each endpoint draws and says, and bad input."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import (
    MODEL,
    PROFILES,
    TOKENIZER,
    VOCAB_SIZE,
    Serve,
    Served,
    chat_body,
    make_scope,
    make_services,
    wants,
)
from tests.server.keys.conftest import ALICE, BOB, make_entry, to_bearer

THOUGHT = "<think>some thought</think>yes"
NUM_THOUGHT = 13  # tokens of that thought, with its markers
LONG = "<think>" + "so " * 200 + "</think>yes"
QUESTION = {"messages": [{"role": "user", "content": "How many?"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": QUESTION,
    "/v1/responses": {"input": "How many?"},
    "/v1/messages": {**QUESTION, "max_tokens": 200},
    "/v1/completions": {"prompt": "How many?", "max_tokens": 200},
    "/v1/responses/compact": {"input": "How many?"},
}


def in_turn(budget: Any = 100, turn_id: Any = "a", **options: Any) -> dict[str, Any]:
    return {"thinking_options": {"turn": {"id": turn_id, "budget": budget}, **options}}


async def read_turn(served: Served, turn_id: str = "a") -> tuple[int, int, int]:
    """Return what is used, reserved and left of a turn."""
    response = await served.http.get(f"/v1/thinking/turns/{turn_id}")
    assert response.status_code == 200, response.text
    turn = response.json()
    assert turn["used"] + turn["reserved"] + turn["remaining"] == turn["budget"]
    return turn["used"], turn["reserved"], turn["remaining"]


async def send(served: Served, path: str, **fields: Any) -> list[dict[str, Any]]:
    """Post a body, streamed or not, and return the receipts of its choices."""
    body = {"model": MODEL, **BODIES[path], **fields}
    response = await served.http.post(path, json=body)
    assert response.status_code == 200, response.text
    if not fields.get("stream"):
        replies = [response.json()]
    else:
        lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
        replies = [json.loads(line.removeprefix("data: ")) for line in lines]
    return [receipt for reply in replies for receipt in find_receipts(reply)]


def find_receipts(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the receipts in a reply or an event."""
    holders = [reply, *reply.get("choices", [])]
    for name in ("response", "message"):
        holders.append(reply.get(name) or {})
    return [holder["thinking"] for holder in holders if isinstance(holder.get("thinking"), dict)]


def count_cases() -> list[Any]:
    return [(path, s) for path in BODIES for s in (False, True) if not (s and "compact" in path)]


@pytest.mark.parametrize(("path", "is_streamed"), count_cases())
async def test_all_endpoints_draw_on_the_sum_and_say_so(
    serve: Serve, path: str, is_streamed: bool
) -> None:
    served = serve(wants(THOUGHT), max_model_len=8192)
    stream = {"stream": True} if is_streamed else {}
    for number in (1, 2, 3):
        receipt = (await send(served, path, max_thinking_tokens=20, **in_turn(30), **stream))[-1]
        if number < 3:
            used = NUM_THOUGHT * number
            assert receipt["used"] == NUM_THOUGHT
            assert receipt["limited_by"] == (None if number == 1 else "turn")
            assert receipt["turn"] == {"budget": 30, "used": used, "remaining": 30 - used}
    assert (receipt["budget"], receipt["limited_by"]) == (4, "turn")
    assert receipt["used"] <= 4
    used = receipt["turn"]["used"]
    assert await read_turn(served) == (used, 0, 30 - used)


async def test_a_spent_turn_answers_without_thinking(serve: Serve) -> None:
    served = serve(wants(LONG))
    await served.chat(max_thinking_tokens=40, **in_turn(40))
    response = await served.chat(max_thinking_tokens=40, **in_turn(40))
    (choice,) = response.json()["choices"]
    receipt = choice["thinking"]
    assert (receipt["budget"], receipt["limited_by"], receipt["used"]) == (0, "turn", 0)
    assert choice["message"]["content"]
    assert receipt["turn"] == {"budget": 40, "used": 40, "remaining": 0}
    metrics = (await served.http.get("/metrics")).text
    assert 'thinking_budget_limited_total{by="turn"} 1.0' in metrics


OPTIONS: list[dict[str, Any]] = [
    {"thinking_options": {"strategy": {"name": "best_of", "n": 3}}},
    {"thinking_options": {"wrap_up": " and so that is the end of it"}},
    {"thinking_options": {"gate": {"mode": "every", "tokens": 1}}},
    {"thinking_options": {"kind": "pause"}},
    {"min_thinking_tokens": 30},
]


@pytest.mark.parametrize("left", [0, 3, 9])
@pytest.mark.parametrize("fields", OPTIONS, ids=str)
async def test_an_option_that_needs_more_than_is_left_fails_no_request(
    serve: Serve, fields: dict[str, Any], left: int
) -> None:
    served = serve(wants(LONG))
    fields = json.loads(json.dumps(fields))
    assert (await served.chat(max_thinking_tokens=40, **fields)).status_code == 200
    options = fields.setdefault("thinking_options", {})
    options["turn"] = {"id": "a", "budget": left}
    response = await served.chat(max_thinking_tokens=40, **fields)
    assert response.status_code == 200, response.text
    receipt = response.json()["choices"][0]["thinking"]
    assert receipt["used"] <= left
    assert receipt["limited_by"] == "turn"
    assert (await read_turn(served))[0] == receipt["used"]


@pytest.mark.parametrize(
    "more",
    [
        {"n": 3},
        {"thinking_options": {"strategy": {"name": "best_of", "n": 3}}},
        {
            "thinking_options": {
                "strategy": {"name": "beam", "score_by": "confidence", "step_tokens": 8}
            },
            "n": 2,
        },
    ],
)
async def test_all_choices_and_branches_of_a_request_share_what_is_left(
    serve: Serve, more: dict[str, Any]
) -> None:
    served = serve(wants(LONG))
    options = {**more.get("thinking_options", {}), "turn": {"id": "a", "budget": 100}}
    total = 0
    for _ in range(4):
        body = {**more, "max_thinking_tokens": 40, "thinking_options": options}
        response = await served.chat(**body)
        assert response.status_code == 200, response.text
        receipts = [choice["thinking"] for choice in response.json()["choices"]]
        total += sum(receipt["used"] for receipt in receipts)
        last = max(receipts, key=lambda receipt: receipt["turn"]["used"])
        assert last["turn"]["used"] == total <= 100
    assert await read_turn(served) == (total, 0, 100 - total)
    assert total > 90  # no more is lost than does not divide by the choices


async def test_prompts_of_one_body_share_what_is_left(serve: Serve) -> None:
    served = serve(wants(LONG))
    body = {"prompt": ["a", "bb", "ccc"], "n": 2, "max_tokens": 200, "max_thinking_tokens": 40}
    receipts = await send(served, "/v1/completions", **body, **in_turn(100))
    assert [receipt["budget"] for receipt in receipts] == [16] * 6
    assert await read_turn(served) == (96, 0, 4)


async def test_an_echo_draws_nothing(serve: Serve) -> None:
    served = serve(wants(LONG))
    body = {"prompt": "a", "max_tokens": 0, "echo": True, "max_thinking_tokens": 40}
    (receipt,) = await send(served, "/v1/completions", **body, **in_turn(100))
    assert receipt["turn"] == {"budget": 100, "used": 0, "remaining": 100}
    assert await read_turn(served) == (0, 0, 100)


async def test_other_keys_have_other_turns(serve: Serve, tmp_path: Any) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(make_entry("alice", ALICE) + make_entry("bob", BOB))
    served = serve(wants(THOUGHT), keys_file=str(keys))
    body = chat_body(max_thinking_tokens=20, **in_turn(60, "a/b ü"))
    path = "/v1/chat/completions"
    assert (await served.http.post(path, json=body, headers=to_bearer(ALICE))).status_code == 200
    turn = "/v1/thinking/turns/a/b%20%C3%BC"
    state = await served.http.get(turn, headers=to_bearer(ALICE))
    assert state.json() == {
        "object": "thinking.turn",
        "id": "a/b ü",
        "budget": 60,
        "used": NUM_THOUGHT,
        "reserved": 0,
        "remaining": 60 - NUM_THOUGHT,
    }
    unknown = await served.http.get(turn, headers=to_bearer(BOB))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "turn_not_found")
    assert (await served.http.get(turn)).status_code == 401
    other = await served.http.post(
        path, json=chat_body(max_thinking_tokens=20, **in_turn(7, "a/b ü")), headers=to_bearer(BOB)
    )
    assert other.json()["choices"][0]["thinking"]["turn"]["budget"] == 7


BAD: list[tuple[dict[str, Any], str]] = [
    (in_turn(turn_id=""), "thinking_options.turn.id"),
    (in_turn(turn_id="x" * 257), "thinking_options.turn.id"),
    (in_turn(turn_id=7), "thinking_options.turn.id"),
    ({"thinking_options": {"turn": {"budget": 7}}}, "thinking_options.turn.id"),
    ({"thinking_options": {"turn": {"id": "a"}}}, "thinking_options.turn.budget"),
    (in_turn(-1), "thinking_options.turn.budget"),
    (in_turn(1.0), "thinking_options.turn.budget"),
    (in_turn("9"), "thinking_options.turn.budget"),
    (in_turn(True), "thinking_options.turn.budget"),
    (in_turn(10**13), "thinking_options.turn.budget"),
    ({"thinking_options": {"turn": "a"}}, "thinking_options.turn"),
    ({"thinking_options": {"turn": {"id": "a", "budget": 1, "total": 2}}}, "turn.total"),
    ({"turn": {"id": "a", "budget": 1}}, "turn"),
]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("fields", "param"), BAD)
async def test_a_bad_turn_is_refused_by_name_and_begins_nothing(
    serve: Serve, path: str, fields: dict[str, Any], param: str
) -> None:
    served = serve(wants(THOUGHT))
    response = await served.http.post(path, json={"model": MODEL, **BODIES[path], **fields})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert param in error["message"]
    assert (await served.http.get("/v1/thinking/turns/a")).status_code == 404


@pytest.mark.parametrize("path", BODIES)
async def test_another_budget_names_the_one_in_force(serve: Serve, path: str) -> None:
    served = serve(wants(THOUGHT), max_model_len=8192)
    await send(served, path, max_thinking_tokens=20, **in_turn(30))
    body = {"model": MODEL, **BODIES[path], **in_turn(31)}
    response = await served.http.post(path, json=body)
    assert response.status_code == 400
    assert "a budget of 30 tokens, not 31" in response.json()["error"]["message"]
    assert await read_turn(served) == (NUM_THOUGHT, 0, 30 - NUM_THOUGHT)


async def test_a_refused_request_returns_its_part(serve: Serve) -> None:
    served = serve(wants(THOUGHT), anonymous_quota={"requests_per_day": 1})
    for status in (200, 429):
        response = await served.chat(max_thinking_tokens=20, **in_turn(60))
        assert response.status_code == status
    bad = await served.chat(max_thinking_tokens=20, logit_bias={"99999": 1}, **in_turn(60))
    assert bad.status_code == 400
    assert await read_turn(served) == (NUM_THOUGHT, 0, 60 - NUM_THOUGHT)


async def test_what_is_ignored_is_named_once(serve: Serve) -> None:
    served = serve(wants(THOUGHT))
    response = await served.chat(
        max_thinking_tokens=20, wonder=1, service_tier="flex", **in_turn(5)
    )
    named = response.headers["x-ignored-fields"].split(", ")
    assert "wonder" in named
    assert len(named) == len(set(named))
    assert response.json()["choices"][0]["thinking"]["limited_by"] == "turn"


async def test_counting_tokens_begins_no_turn(serve: Serve) -> None:
    served = serve(wants(THOUGHT))
    body = {"model": MODEL, **QUESTION, **in_turn(5)}
    assert (await served.http.post("/v1/messages/count_tokens", json=body)).status_code == 200
    assert (await served.http.get("/v1/thinking/turns/a")).status_code == 404


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_a_client_that_leaves_has_used_what_was_generated(
    serve: Serve, path: str, is_streamed: bool
) -> None:
    served = serve(wants(LONG))

    async def receive() -> dict[str, Any]:
        if not sent_body:
            sent_body.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        while served.engine.num_generated < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
        held.append(await read_turn(served))
        return {"type": "http.disconnect"}

    async def ignore(message: Any) -> None:
        pass

    sent_body: list[bool] = []
    held: list[tuple[int, int, int]] = []
    fields = {"model": MODEL, "max_thinking_tokens": 150, "stream": is_streamed, **in_turn(160)}
    body = json.dumps(fields | BODIES[path]).encode()
    scope = make_scope(path)
    await served.app(scope, receive, ignore)
    assert held[0] == (0, 150, 10)
    used, reserved, remaining = await read_turn(served)
    assert (reserved, used + remaining) == (0, 160)
    assert 20 <= used < 150


async def test_the_receipts_events_come_once_the_turn_is_settled(serve: Serve) -> None:
    """Check that a client that reads the receipt finds the rest of the budget there at once."""
    served = serve(wants(THOUGHT))
    seen: list[tuple[int, int, int]] = []

    async def send_event(message: Any) -> None:
        if b'"turn"' in message.get("body", b""):
            seen.append(await read_turn(served))

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    asked: list[bool] = []
    body = json.dumps(chat_body(max_thinking_tokens=20, stream=True, n=2, **in_turn(60))).encode()
    path = "/v1/chat/completions"
    scope = make_scope(path)
    await served.app(scope, receive, send_event)
    assert seen[-1] == (2 * NUM_THOUGHT, 0, 60 - 2 * NUM_THOUGHT)


calls = st.fixed_dictionaries(
    {
        "path": st.sampled_from(
            ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions"]
        ),
        "max_thinking_tokens": st.integers(0, 60),
        "turn": st.sampled_from(["a", "b"]),
        "stream": st.booleans(),
        "n": st.sampled_from([1, 1, 2, 3]),
        "strategy": st.sampled_from([None, None, "best_of"]),
    }
)


# A random model would write to the end of its context.
MAX_TOKENS_FIELDS = {
    "/v1/chat/completions": "max_completion_tokens",
    "/v1/completions": "max_tokens",
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
}


def to_fields(call: dict[str, Any], budget: int) -> tuple[str, dict[str, Any]]:
    path = call["path"]
    options: dict[str, Any] = {"turn": {"id": call["turn"], "budget": budget}}
    if call["strategy"] and path == "/v1/chat/completions" and call["max_thinking_tokens"] > 20:
        options["strategy"] = {"name": call["strategy"], "n": 2}
    fields = {
        "max_thinking_tokens": call["max_thinking_tokens"],
        "stream": call["stream"],
        "thinking_options": options,
        MAX_TOKENS_FIELDS[path]: 200,
    }
    if call["n"] > 1 and path in ("/v1/chat/completions", "/v1/completions"):
        fields["n"] = call["n"]
    return path, fields


@pytest.mark.hypothesis
@given(
    st.integers(0, 150),
    st.lists(st.lists(calls, min_size=1, max_size=5), min_size=1, max_size=3),
    st.integers(0, 2**31),
)
@hypothesis_settings(max_examples=examples(40))
def test_concurrent_calls_never_use_more_than_their_turn(
    budget: int, waves: list[list[dict[str, Any]]], seed: int
) -> None:
    asyncio.run(run_waves(budget, waves, seed))


async def run_waves(budget: int, waves: list[list[dict[str, Any]]], seed: int) -> None:
    engine = ScriptedEngine(
        RandomLogits(VOCAB_SIZE, seed), TOKENIZER, PROFILES["special markers"], model_name=MODEL
    )
    services = make_services()
    services.set_engine(engine)
    transport = httpx.ASGITransport(create_app(services))
    used = {"a": 0, "b": 0}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            served = Served(None, engine, http, None, services)  # type: ignore[arg-type]
            for wave in waves:
                tasks = [(call["turn"], to_fields(call, budget)) for call in wave]
                replies = await asyncio.gather(
                    *(send(served, path, **fields) for _, (path, fields) in tasks)
                )
                for (turn, _), receipts in zip(tasks, replies, strict=True):
                    used[turn] += sum(receipt["used"] for receipt in receipts)
                for turn in {turn for turn, _ in tasks}:
                    assert used[turn] <= budget
                    left = budget - used[turn]
                    assert await read_turn(served, turn) == (used[turn], 0, left)
    finally:
        await services.close()
        await engine.close()
