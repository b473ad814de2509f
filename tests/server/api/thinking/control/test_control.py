"""``POST /v1/thinking/{id}`` and llama.cpp's control: who may do what, on which API."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from server.engine.scripted_model import RandomLogits
from tests.server.api.test_cost_of_a_token import count_per_token
from tests.server.conftest import MODEL, VOCAB_SIZE, Serve, Served, chat_body, wants
from tests.server.generation.governed import (
    FREE,
    REQUEST_ID,
    Orders,
    WantedThroughout,
    chat_under_orders,
    check_laws,
)
from tests.server.traces.conftest import read_traces

END: dict[str, Any] = {"action": "end"}
LONG: dict[str, Any] = {
    "max_thinking_tokens": 100,
    "min_thinking_tokens": 100,
    "max_completion_tokens": 300,
    "temperature": 0,
    "thinking_options": FREE,
}
QUESTION = [{"role": "user", "content": "How many?"}]
SHARED = {key: value for key, value in LONG.items() if key != "max_completion_tokens"}
# A body of each API, and where its reply has the receipt.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": QUESTION, "max_completion_tokens": 300},
    "/v1/completions": {"prompt": "How many?", "max_tokens": 300},
    "/v1/responses": {"input": "How many?", "max_output_tokens": 300, "store": False},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 300},
}


def read_error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_the_id_that_each_api_gives_is_that_of_its_reply(
    serve: Serve, path: str, is_streamed: bool
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    orders = Orders([(40, END)], reply_id=None)
    orders.watch(served)
    body = {"model": MODEL, **SHARED, **BODIES[path], "stream": is_streamed}
    response = await served.http.post(path, json=body)
    assert response.status_code == 200, response.text
    (answer,) = await orders.collect()
    assert answer.status_code == 200, answer.text
    assert f'"{orders.reply_id}"' in response.text
    assert answer.json()["id"] == orders.reply_id
    text = response.text.replace(" ", "")
    assert '"stop":"caller"' in text
    assert "</think>" not in text


async def test_choices_of_several_prompts_are_numbered_through(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    orders = Orders([(100, {**END, "choice": 3})], reply_id=None)
    orders.watch(served)
    body = {"model": MODEL, **SHARED, "prompt": ["One", "Two"], "n": 2, "max_tokens": 300}
    reply = (await served.http.post("/v1/completions", json=body)).json()
    (answer,) = await orders.collect()
    assert answer.status_code == 200, answer.text
    stops = [choice["thinking"]["stop"] for choice in reply["choices"]]
    assert stops == ["budget", "budget", "budget", "caller"]
    assert reply["id"] == orders.reply_id


async def test_llama_cpps_control_ends_a_thought(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    orders = Orders([(40, {"id": REQUEST_ID, "action": "reasoning_end", "model": MODEL})])
    orders.watch(served)

    async def send(served: Served, body: Any) -> httpx.Response:
        return await served.http.post("/chat/completions/control", json=body)

    orders.send = send  # type: ignore[method-assign]
    reply = await served.http.post(
        "/v1/chat/completions",
        # A client of llama.cpp's must ask for the control; here every reply has it.
        json=chat_body(**LONG, reasoning_control=True),
        headers={"x-request-id": REQUEST_ID},
    )
    assert reply.status_code == 200, reply.text
    (answer,) = await orders.collect()
    assert answer.json() == {"success": True}
    assert reply.json()["choices"][0]["thinking"]["stop"] == "caller"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "action", "missing_field"),
        ({"action": "stop"}, "action", "invalid_value"),
        ({"action": "extend"}, "tokens", "missing_field"),
        ({"action": "extend", "tokens": 0}, "tokens", "invalid_value"),
        ({"action": "extend", "tokens": "9"}, "tokens", "invalid_value"),
        ({"action": "extend", "tokens": 9, "text": "x"}, "text", "contradictory_fields"),
        ({"action": "end", "tokens": 9}, "tokens", "contradictory_fields"),
        ({"action": "add"}, "text", "missing_field"),
        ({"action": "add", "text": ""}, "text", "invalid_value"),
        ({"action": "end", "choice": -1}, "choice", "invalid_value"),
        ({"action": "end", "choice": 1}, "choice", "invalid_value"),
        ({"action": "add", "text": "so</think>Seven"}, "text", "invalid_value"),
        ({"action": "add", "text": "<|im_end|>"}, "text", "invalid_value"),
        ({"action": "add", "text": "word " * 200}, "text", "text_too_long"),
    ],
)
async def test_bad_input_is_named_and_disturbs_nothing(
    serve: Serve, body: dict[str, Any], param: str, code: str
) -> None:
    reply, (answer,) = await chat_under_orders(serve(RandomLogits(VOCAB_SIZE)), (40, body), **LONG)
    error = read_error(answer, 400)
    assert (error["param"], error["code"]) == (param, code)
    plain = (await serve(RandomLogits(VOCAB_SIZE)).chat(**LONG)).json()
    for choice in (*reply["choices"], *plain["choices"]):
        choice["thinking"].pop("seconds")
    assert reply["choices"] == plain["choices"]


async def test_what_would_fit_is_said(serve: Serve) -> None:
    _, (answer,) = await chat_under_orders(
        serve(RandomLogits(VOCAB_SIZE)), (40, {"action": "add", "text": "x" * 500}), **LONG
    )
    message = read_error(answer, 400)["message"]
    assert "501 tokens" in message
    room = int(message.partition(", and ")[2].split()[0])
    assert 0 < room < 100


async def test_an_unknown_id_and_a_finished_reply_are_not_found(serve: Serve) -> None:
    served = serve(wants("hm</think>fine"))
    reply = (await served.chat(temperature=0)).json()
    for reply_id in (reply["id"], "chatcmpl-0", "x" * 300):
        answer = await served.http.post(f"/v1/thinking/{reply_id}", json=END)
        assert read_error(answer, 404)["code"] == "reply_not_found"
    body = {"id": reply["id"], "action": "reasoning_end"}
    answer = await served.http.post("/v1/chat/completions/control", json=body)
    assert read_error(answer, 404)["code"] == "reply_not_found"


async def test_nothing_can_be_ordered_while_the_answer_comes(serve: Serve) -> None:
    served = serve(WantedThroughout("so it is</think>" + "abcdefgh " * 20))
    bodies: list[tuple[int, dict[str, Any]]] = [
        (60, END),
        (61, {"action": "extend", "tokens": 9}),
        (62, {"action": "add", "text": "x"}),
    ]
    fields = {**LONG, "min_thinking_tokens": None}
    reply, answers = await chat_under_orders(served, *bodies, **fields)
    for answer in answers:
        assert read_error(answer, 409)["code"] == "not_thinking"
    assert reply["choices"][0]["message"]["content"] == "abcdefgh " * 20
    assert reply["choices"][0]["thinking"]["stop"] == "natural"


async def test_words_for_which_no_line_ends_are_refused(serve: Serve) -> None:
    served = serve(WantedThroughout("abcdefghijklmnopqrstuvwxyz " * 2 + "</think>Seven."))
    fields = {**LONG, "min_thinking_tokens": None}
    reply, (answer,) = await chat_under_orders(
        served, (10, {"action": "add", "text": "x"}), **fields
    )
    assert read_error(answer, 409)["code"] == "not_thinking"
    assert reply["choices"][0]["message"]["content"] == "Seven."


async def test_an_extension_is_granted_up_to_the_ceiling(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), max_thinking_tokens=130)
    bodies = [(n, {"action": "extend", "tokens": 50}) for n in (20, 30)]
    reply, (granted, refused) = await chat_under_orders(served, *bodies, **LONG)
    assert granted.json()["choices"][0]["extended"] == 30
    error = read_error(refused, 400)
    assert error["code"] == "budget_at_ceiling"
    assert "130" in error["message"]
    assert "model" in error["message"]
    assert reply["choices"][0]["thinking"]["budget"] == 130
    check_laws(reply)


async def test_an_extension_takes_what_the_turn_has_left(serve: Serve) -> None:
    """The sum of a turn holds while its requests are lengthened."""
    served = serve(RandomLogits(VOCAB_SIZE))
    extend = {"action": "extend", "tokens": 100}
    options = {**FREE, "turn": {"id": "t", "budget": 130}}
    reply, (granted, refused) = await chat_under_orders(
        served, (40, extend), (50, extend), **LONG | {"thinking_options": options}
    )
    assert granted.json()["choices"][0]["extended"] == 30
    error = read_error(refused, 400)
    assert error["param"] == "tokens"
    assert "turn" in error["message"]
    receipt = reply["choices"][0]["thinking"]
    assert receipt["used"] <= receipt["budget"] == 130
    assert receipt["turn"]["used"] <= 130
    check_laws(reply)


async def test_an_extension_leaves_the_answer_its_reserve(serve: Serve) -> None:
    fields = {
        **LONG,
        "max_completion_tokens": 160,
        "thinking_options": {**FREE, "answer_reserve": 40},
    }
    reply, (answer,) = await chat_under_orders(
        serve(RandomLogits(VOCAB_SIZE)), (20, {"action": "extend", "tokens": 500}), **fields
    )
    assert answer.json()["choices"][0]["budget"] == 120
    assert reply["usage"]["completion_tokens"] <= 160
    check_laws(reply)


async def test_where_the_answer_alone_is_limited_the_reply_grows_with_the_thought(
    serve: Serve,
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    orders = Orders([(20, {"action": "extend", "tokens": 50})], reply_id=None)
    orders.watch(served)
    options = {**FREE, "answer_reserve": 30}
    body = {"model": MODEL, **SHARED, "thinking_options": options, "prompt": "How many?"}
    body["ignore_eos"] = True
    reply = (await served.http.post("/v1/completions", json=body)).json()
    (answer,) = await orders.collect()
    assert answer.status_code == 200, answer.text
    receipt = reply["choices"][0]["thinking"]
    num_answer = reply["usage"]["completion_tokens"] - receipt["used"]
    assert receipt["budget"] == 150
    assert num_answer == 30


async def test_a_trace_says_what_the_caller_has_added(serve: Serve, tmp_path: Any) -> None:
    served = serve(
        WantedThroughout("first line\nsecond line\nthird line\n" * 3 + "</think>Seven."),
        trace_store=str(tmp_path / "traces.db"),
        show_thoughts=True,
    )
    fields = {**LONG, "max_thinking_tokens": 200, "min_thinking_tokens": None}
    reply, (answer,) = await chat_under_orders(
        served, (15, {"action": "add", "text": "Mind the gap."}), **fields
    )
    assert answer.status_code == 200, answer.text
    assert "Mind" not in str(reply)  # a hidden thought
    (trace,) = await read_traces(served)
    (choice,) = trace["choices"]
    assert choice["added_by_caller"] == ["Mind the gap."]
    assert "Mind the gap.\n" in choice["thoughts"][0]["text"]


async def test_who_leaves_before_an_order_took_effect_drops_it(serve: Serve) -> None:
    """The words wait for the end of a line; their sender does not."""
    served = serve(WantedThroughout("a" * 60 + "\n" + "b" * 20 + "</think>Seven."))
    orders = Orders([(10, {"action": "add", "text": "x"})])

    async def send(served: Served, body: Any) -> httpx.Response:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.02, task.cancel)
        return await Orders.send(orders, served, body)

    orders.send = send  # type: ignore[method-assign]
    orders.watch(served)
    reply = await served.http.post(
        "/v1/chat/completions",
        json=chat_body(**{**LONG, "min_thinking_tokens": None, "max_thinking_tokens": 200}),
        headers={"x-request-id": REQUEST_ID},
    )
    await asyncio.gather(*orders.tasks, return_exceptions=True)
    check_laws(reply.json())
    assert len(served.services.running) == 0


@pytest.mark.parametrize("shows", [False, True])
async def test_no_token_of_an_ungoverned_reply_passes_the_governor(
    serve: Serve, shows: bool
) -> None:
    served = serve(wants("".join(chr(97 + i * 7 % 26) for i in range(900))), show_thoughts=True)
    found: Counter[str] = Counter(
        await count_per_token(
            lambda number: served.chat(
                max_thinking_tokens=number,
                max_completion_tokens=number + 300,
                include_reasoning=shows,
                thinking_options=FREE,
            )
        )
    )
    assert not [name for name in found if name.startswith(("governing", "orders", "registry"))]
