"""Items and choices in the words of other servers and APIs: history is never an error."""

from functools import partial
from typing import Any

import pytest

from server.keys.sealed_thoughts import ThoughtSeal
from tests.server.api.openai.responses.conftest import get_ignored, post
from tests.server.api.openai.responses.test_history_items import NO_THOUGHT, USER, build
from tests.server.api.openai.responses.test_tools import ADD
from tests.server.conftest import Serve, wants

Json = dict[str, Any]
SEAL = ThoughtSeal()
CALL: Json = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}
OUTPUT: Json = {"type": "function_call_output", "call_id": "c", "output": "3"}
REPLY: Json = {"type": "message", "role": "assistant", "content": "a"}


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for tools: the tests' tokens are letters."""
    return partial(serve, max_model_len=8192)


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"a": 1}, '{"a": 1}'),
        (3, "3"),
        (None, ""),
        (
            [{"type": "json", "value": 1}],
            [{"type": "text", "text": '{"type": "json", "value": 1}'}],
        ),
        (["x"], [{"type": "text", "text": "x"}]),
    ],
)
def test_the_output_of_a_tool_may_be_any_json(output: Any, shown: Any) -> None:
    *_, result = build(USER, CALL, OUTPUT | {"output": output}).messages
    assert result["content"] == shown


@pytest.mark.parametrize("arguments", [{"a": 1}, '{"a": 1}'])
def test_arguments_may_be_an_object(arguments: Any) -> None:
    (call,) = build(CALL | {"arguments": arguments}).messages[0]["tool_calls"]
    assert call["function"]["arguments"] == '{"a": 1}'


def test_a_call_without_a_call_id_is_found_by_its_id() -> None:
    call = {key: value for key, value in CALL.items() if key != "call_id"} | {"id": "c"}
    *_, result = build(USER, call, OUTPUT).messages
    assert (result["role"], result["name"]) == ("tool", "add")


@pytest.mark.parametrize(
    "content",
    ["t", ["t"], [{"type": "text", "text": "t"}], [{"type": "reasoning.text", "text": "t"}]],
)
def test_a_visible_thought_is_read_in_every_form(content: Any) -> None:
    thought = {"type": "reasoning", "summary": ["s"], "content": content}
    (message,) = build(thought, REPLY).messages
    assert message["reasoning_content"] == "t"


@pytest.mark.parametrize(
    ("items", "named"),
    [
        ([REPLY | {"content": None}], []),
        ([REPLY | {"name": "helper", "status": "searching"}], []),
        ([CALL | {"status": "failed"}, OUTPUT | {"status": "failed"}], []),
        ([{"type": "item_reference", "id": "rs_of_another"}, REPLY], ["input[1]"]),
        (
            [REPLY | {"content": [{"type": "reasoning_text", "text": "t"}, {"type": "sing"}]}],
            ["input[1].content[0]", "input[1].content[1]"],
        ),
        (
            [{"type": "reasoning", "summary": [{"type": "reasoning.encrypted", "data": "x"}]}],
            ["input[1].summary[0].data"],
        ),
    ],
)
async def test_history_of_other_servers_is_accepted_and_can_be_listed(
    serve: Serve, items: list[Json], named: list[str]
) -> None:
    served = serve(wants("4"))
    response = await post(served, input=[USER, *items, USER], **NO_THOUGHT)
    assert response.status_code == 200, response.text
    assert get_ignored(response) == named
    path = f"/v1/responses/{response.json()['id']}/input_items?order=asc"
    listed = (await served.http.get(path)).json()["data"]
    assert len(listed) == len(items) + 2


@pytest.mark.parametrize(
    ("choice", "echoed"),
    [
        ("any", "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "function", "function": {"name": "add"}}, {"type": "function", "name": "add"}),
    ],
)
async def test_a_choice_in_other_words_is_the_same_choice(
    serve: Serve, choice: Any, echoed: Any
) -> None:
    response = await post(serve(wants("4")), input="a", tools=[ADD], tool_choice=choice)
    assert response.status_code == 200, response.text
    assert response.json()["tool_choice"] == echoed


async def test_a_function_as_a_chat_has_it_is_the_same_function(serve: Serve) -> None:
    function = {key: value for key, value in ADD.items() if key != "type"}
    tools = [{"type": "function", "function": function}]
    served = serve(wants("4"))
    nested, flat = [
        (await post(served, input="a", tools=sent)).json()["tools"] for sent in (tools, [ADD])
    ]
    assert nested == flat


async def test_a_grammar_in_a_language_that_is_not_known_is_named(serve: Serve) -> None:
    grammar = {"type": "grammar", "syntax": "abnf", "definition": 'a = "x"'}
    tools = [{"type": "custom", "name": "edit", "format": grammar}]
    response = await post(serve(wants("4")), input="a", tools=tools)
    assert response.status_code == 200, response.text
    assert get_ignored(response) == ["tools[0].format"]


@pytest.mark.parametrize("name", [None, "Response[int]"])
async def test_any_name_of_a_schema_will_do(serve: Serve, name: str | None) -> None:
    schema = {"type": "object", "properties": {}}
    text = {"format": {"type": "json_schema", "name": name, "schema": schema}, "verbosity": "max"}
    response = await post(serve(wants("{}")), input="a", text=text)
    assert response.status_code == 200, response.text
    assert response.json()["text"]["format"]["name"] == (name or "schema")
