"""A conversation is the same whether the client sends it back or refers to a stored response."""

from typing import Any

import pytest

from server.api.openai.responses.conversation import build_conversation
from server.api.openai.responses.items import Item, read_item
from server.api.openai.responses.toolbox import Toolbox
from server.keys.sealed_thoughts import ThoughtSeal
from server.stored_responses.memory import MemoryResponses
from server.stored_responses.store import KeyResponses
from server.stored_responses.stored import StoredResponse
from tests.server.api.openai.responses.conftest import (
    get_ignored,
    get_items,
    get_refusal,
    post,
    respond,
)
from tests.server.api.openai.responses.test_responses_laws import ANSWER, SCRIPT, THOUGHT
from tests.server.conftest import Serve, Served, wants

SEAL = ThoughtSeal()
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "2"}


def make_user_item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def make_assistant_item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text}


def make_thought_item(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": SEAL.seal(text)}


def build_messages(*items: dict[str, Any], instructions: str | None = None) -> list[dict[str, Any]]:
    given: list[Item] = [read_item(item) for item in items]
    return build_conversation(SEAL, Toolbox(()), instructions, (), given).messages


def test_a_thought_goes_to_the_assistants_item_that_follows() -> None:
    *_, assistant, last = build_messages(
        make_user_item("a"), make_thought_item("t"), make_assistant_item("b"), make_user_item("c")
    )
    assert assistant == {"role": "assistant", "content": "b", "reasoning_content": "t"}
    assert "reasoning_content" not in last


def test_a_thought_that_nothing_follows_is_left_out() -> None:
    assert build_messages(make_thought_item("t"), make_user_item("a")) == [
        {"role": "user", "content": "a"}
    ]
    bare = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]}
    assert build_messages(bare, make_assistant_item("b")) == [{"role": "assistant", "content": "b"}]


def test_a_thought_that_the_client_may_read_is_used_as_it_is() -> None:
    shown = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "t"}]}
    (message,) = build_messages(shown, make_assistant_item("b"))
    assert message["reasoning_content"] == "t"


def test_calls_and_their_outputs_become_one_turn_and_its_tool_messages() -> None:
    second = CALL | {"call_id": "c2", "name": "sub"}
    messages = build_messages(
        make_user_item("a"),
        make_thought_item("t"),
        CALL,
        second,
        OUTPUT,
        OUTPUT | {"call_id": "c2"},
        make_assistant_item("b"),
    )
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c1", "c2"]
    assert messages[1]["reasoning_content"] == "t"
    assert messages[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert [message["name"] for message in messages[2:4]] == ["add", "sub"]
    assert messages[2]["tool_call_id"] == "c1"


def test_a_call_after_a_message_belongs_to_it() -> None:
    messages = build_messages(make_assistant_item("Let me add."), CALL, OUTPUT)
    assert len(messages) == 2
    assert messages[0]["content"] == "Let me add."
    assert len(messages[0]["tool_calls"]) == 1


def test_instructions_come_first() -> None:
    assert build_messages(make_user_item("a"), instructions="Be short.")[0] == {
        "role": "system",
        "content": "Be short.",
    }


async def count_prompt_tokens(served: Served, **fields: Any) -> int:
    usage = (await respond(served, **fields))["usage"]
    assert isinstance(usage["input_tokens"], int)
    return usage["input_tokens"]


async def test_a_stored_conversation_goes_on_as_one_that_is_sent(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    first = await respond(served, input="How many?", instructions="Be short.")
    stored = await count_prompt_tokens(served, input="And now?", previous_response_id=first["id"])
    sent = await count_prompt_tokens(
        served,
        input=[
            make_user_item("How many?"),
            make_assistant_item(ANSWER),
            make_user_item("And now?"),
        ],
    )
    assert stored == sent  # and so without the first one's instructions


async def test_a_whole_output_may_be_sent_back_as_it_is(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    first = await respond(served, store=False, include_reasoning=True)
    again = [make_user_item("How many?"), *first["output"], make_user_item("And now?")]
    assert (await post(served, input=again, store=False)).status_code == 200


async def test_a_stored_item_may_be_named_instead_of_sent(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    first = await respond(served)
    names = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    named = [make_user_item("How many?"), *names, make_user_item("And now?")]
    sent = [make_user_item("How many?"), make_assistant_item(ANSWER), make_user_item("And now?")]
    assert await count_prompt_tokens(served, input=named) == await count_prompt_tokens(
        served, input=sent
    )


async def test_a_thought_that_cannot_be_opened_is_left_out_and_named(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    first = await respond(served, store=False)
    (item,) = get_items(first, "reasoning")
    sealed = item["encrypted_content"]
    without = await post(served, input=[make_assistant_item("a")])
    for changed in (sealed[:-8] + "AAAAAAA=", sealed[1:], "ü", SEAL.seal("t")):
        items = [item | {"encrypted_content": changed}, make_assistant_item("a")]
        response = await post(served, input=items)
        assert response.status_code == 200, response.text
        assert get_ignored(response) == ["input[0].encrypted_content"]
        assert response.json()["usage"] == without.json()["usage"]


async def test_a_response_can_be_read_and_deleted(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    response = await respond(
        served, input=[make_user_item("One?"), make_assistant_item("1"), make_user_item("Two?")]
    )
    path = f"/v1/responses/{response['id']}"
    assert (await served.http.get(path)).json() == response
    assert (await served.http.get(path, params={"stream": "true"})).status_code == 400
    assert (await served.http.post(f"{path}/cancel")).status_code == 400
    assert (await served.http.delete(path)).json()["deleted"] is True
    for method, where in (
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{path}/input_items"),
        ("POST", f"{path}/cancel"),
    ):
        missing = await served.http.request(method, where)
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "response_not_found"
    error = await get_refusal(served, previous_response_id=response["id"])
    assert error["code"] == "previous_response_not_found"


async def test_the_items_of_an_input_come_in_pages(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    response = await respond(served, input=[make_user_item(str(n)) for n in range(5)])
    path = f"/v1/responses/{response['id']}/input_items"
    texts, after = "", None
    while True:
        query = {"limit": "2", "order": "asc"} | ({"after": after} if after else {})
        page = (await served.http.get(path, params=query)).json()
        texts += "".join(item["content"][0]["text"] for item in page["data"])
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert texts == "01234"
    newest = (await served.http.get(path)).json()["data"]
    assert [item["content"][0]["text"] for item in newest] == list("43210")
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"order": "up"}, {"after": "msg_1"}):
        assert (await served.http.get(path, params=wrong)).status_code == 400


async def test_what_is_not_to_be_stored_is_not(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    response = await respond(served, store=False)
    assert response["store"] is False
    assert (await served.http.get(f"/v1/responses/{response['id']}")).status_code == 404
    off = serve(wants(SCRIPT), response_store_max_responses=0)
    assert (await respond(off))["store"] is False
    assert (await get_refusal(off, store=True))["param"] == "store"


async def test_a_hidden_thought_never_comes_out_of_the_store(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    first = await respond(served)
    names = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    second = await respond(
        served, input=[make_user_item("How many?"), *names, make_user_item("And now?")]
    )
    for response in (first, second):
        path = f"/v1/responses/{response['id']}"
        assert THOUGHT not in (await served.http.get(path)).text
        assert THOUGHT not in (await served.http.get(f"{path}/input_items")).text


def make_stored(name: str, num_bytes: int = 100) -> StoredResponse:
    empty = StoredResponse({"id": name, "status": "completed", "text": ""}, (), ())
    text = "x" * (num_bytes - len(empty.to_bytes()))
    return empty.with_response({**empty.response, "text": text})


@pytest.mark.parametrize(("max_responses", "max_bytes"), [(2, 10_000), (1000, 250)])
async def test_the_store_is_bounded_and_the_least_used_go_first(
    max_responses: int, max_bytes: int
) -> None:
    store = KeyResponses(MemoryResponses(max_responses, max_bytes, 1), "a")
    await store.put(make_stored("a"))
    await store.put(make_stored("b"))
    assert await store.get("a")
    await store.put(make_stored("c"))
    assert [bool(await store.get(name)) for name in "abc"] == [True, False, True]
    await store.put(make_stored("d", 100_000))
    assert not await store.get("d")
    assert await store.get("c")


async def test_the_store_forgets_after_its_hours() -> None:
    now = [0.0]
    store = KeyResponses(MemoryResponses(10, 1000, 2, timer=lambda: now[0]), "a")
    await store.put(make_stored("a"))
    now[0] = 7199
    assert await store.get("a")
    now[0] = 7201
    assert not await store.get("a")
