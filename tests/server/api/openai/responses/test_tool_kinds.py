"""Tools that are no functions in ``/v1/responses``: custom ones, namespaces, OpenAI's own."""

import json
from functools import partial
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server.api.openai.responses.toolbox import Toolbox, ToolName
from server.api.openai.responses.tools import Tools
from tests.server.api.openai.responses.conftest import (
    get_answer,
    get_ignored,
    get_items,
    get_refusal,
    get_transcript,
    post,
    respond,
)
from tests.server.api.openai.responses.folding import fold
from tests.server.api.openai.responses.test_tools import ADD, ARGUMENTS, without_call_ids
from tests.server.conftest import MODEL, Serve, wants
from tests.server.tools.conftest import write_call

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
TOOLS: TypeAdapter[Any] = TypeAdapter(Tools)
PATCH = '*** Begin Patch\n*** Add File: ä "1".txt\n+\\n\t😀\n*** End Patch\n'
LARK = 'start: "yes" | "no"'
EDIT: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
FILES: dict[str, Any] = {
    "type": "namespace",
    "name": "files",
    "description": "Files of the project.",
    "tools": [ADD, EDIT],
}
HOSTED: list[dict[str, Any]] = [
    {"type": "web_search", "external_web_access": False},
    {"type": "web_search_preview", "search_context_size": "low"},
    {"type": "image_generation", "output_format": "png"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "computer"},
    {"type": "computer_use_preview", "display_width": 1, "display_height": 1},
    {"type": "mcp", "server_label": "a", "server_url": "https://example.com"},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
    {"type": "programmatic_tool_calling"},
    {"type": "a_tool_of_next_year", "reasoning": {"effort": "low"}},
]


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for tools: the tests' tokens are letters."""
    return partial(serve, max_model_len=8192)


def make_toolbox(*tools: dict[str, Any]) -> Toolbox:
    return Toolbox(TOOLS.validate_python(list(tools)))


def write_text_call(name: str, text: str) -> str:
    return write_call(name, json.dumps({"input": text}))


async def test_a_custom_tool_gets_its_text_whole_and_streamed(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{write_text_call('apply_patch', PATCH)}"))
    response = await respond(served, tools=[ADD, EDIT])
    (call,) = get_items(response, "custom_tool_call")
    assert (call["name"], call["input"]) == ("apply_patch", PATCH)
    assert call["id"].startswith("ctc_")
    assert response["tools"][1] == EDIT | {"format": {"type": "text"}}
    Response.model_validate(response, strict=True)
    events = await get_transcript(served, tools=[ADD, EDIT])
    for event in events:
        assert EVENT.validate_python(event, strict=True).type == event["type"]
    deltas = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert len(deltas) > 10
    assert "".join(deltas) == PATCH
    assert without_call_ids(fold(events)["output"]) == without_call_ids(response["output"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "a"}', "a"),
        ('{"a": "1", "b": "2"}', '{"a": "1", "b": "2"}'),
        ('{"input": 5}', '{"input": 5}'),
        ('"a"', "a"),
    ],
)
async def test_a_custom_tool_gets_what_the_model_wrote_if_it_was_not_told_the_argument(
    serve: Serve, arguments: str, text: str
) -> None:
    served = serve(wants(f"Hm.</think>{write_call('apply_patch', arguments)}"))
    response = fold(await get_transcript(served, tools=[EDIT]))
    assert [call["input"] for call in get_items(response, "custom_tool_call")] == [text]


async def test_a_custom_call_goes_on_from_the_store_as_from_the_client(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{write_text_call('apply_patch', PATCH)}"))
    first = await respond(served, tools=[EDIT])
    (call,) = get_items(first, "custom_tool_call")
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ok"}
    stored = await respond(served, tools=[EDIT], input=[output], previous_response_id=first["id"])
    sent = await respond(
        served, tools=[EDIT], input=[{"role": "user", "content": "How many?"}, call, output]
    )
    assert stored["usage"]["input_tokens"] == sent["usage"]["input_tokens"]
    assert stored["usage"]["input_tokens"] > first["usage"]["input_tokens"] + len(PATCH)


@pytest.mark.parametrize(
    "text_format",
    [
        {"type": "grammar", "syntax": "lark", "definition": LARK},
        {"type": "grammar", "syntax": "regex", "definition": "yes|no"},
    ],
)
async def test_a_grammar_is_told_and_named_where_it_is_not_enforced(
    serve: Serve, text_format: dict[str, Any]
) -> None:
    served = serve(wants(f"Hm.</think>{write_text_call('vote', 'maybe')}"))
    tool = {"type": "custom", "name": "vote", "format": text_format}
    response = await post(served, tools=[ADD, tool])
    assert get_ignored(response) == ["tools[1].format"]
    plain = await post(served, tools=[ADD, {"type": "custom", "name": "vote"}])
    told = [each.json()["usage"]["input_tokens"] for each in (response, plain)]
    assert told[0] > told[1] + len(text_format["definition"])
    forced = await post(served, tools=[ADD, tool], tool_choice={"type": "custom", "name": "vote"})
    assert get_ignored(forced) == []


async def test_an_answer_that_must_call_a_custom_tool_with_a_grammar_is_its_text(
    serve: Serve,
) -> None:
    served = serve(wants("Hm.</think>yes"))
    text_format = {"type": "grammar", "syntax": "lark", "definition": LARK}
    tool = {"type": "custom", "name": "vote", "format": text_format}
    choice = {"type": "custom", "name": "vote"}
    response = await respond(served, tools=[tool], tool_choice=choice)
    assert [item["type"] for item in response["output"]] == ["reasoning", "custom_tool_call"]
    assert response["output"][1]["input"] == "yes"
    assert response["tool_choice"] == choice
    Response.model_validate(response, strict=True)


async def test_a_grammar_that_cannot_be_converted_is_named(serve: Serve) -> None:
    text_format = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"i'}
    tool = {"type": "custom", "name": "vote", "format": text_format}
    response = await post(
        serve(wants('Hm.</think>{"input": "a"}')),
        tools=[tool],
        tool_choice={"type": "custom", "name": "vote"},
    )
    assert get_ignored(response) == ["tools[0].format"]
    assert response.json()["output"][1]["input"] == "a"


async def test_tools_of_a_namespace_come_back_under_their_own_names(serve: Serve) -> None:
    calls = write_call("files__add", ARGUMENTS) + "\n" + write_text_call("files__apply_patch", "p")
    served = serve(wants(f"Hm.</think>{calls}"))
    response = await respond(served, tools=[ADD, FILES])
    (call,) = get_items(response, "function_call")
    assert (call["namespace"], call["name"], call["arguments"]) == ("files", "add", ARGUMENTS)
    (custom,) = get_items(response, "custom_tool_call")
    assert (custom["namespace"], custom["name"], custom["input"]) == ("files", "apply_patch", "p")
    assert response["tools"][1]["type"] == "namespace"
    Response.model_validate(response, strict=True)
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "3"},
        {"type": "custom_tool_call_output", "call_id": custom["call_id"], "output": "ok"},
    ]
    assert (
        await post(served, tools=[ADD, FILES], input=[call, custom, *outputs])
    ).status_code == 200


def test_the_model_sees_each_tool_by_another_name() -> None:
    clash = {"type": "function", "name": "files__add"}
    box = make_toolbox(FILES, ADD, FILES | {"name": "files__"}, clash)
    shown = [tool.name for tool in box.tools]
    assert len(set(shown)) == len(shown) == 6
    for tool in shown:
        own = box.get_own_name(tool)
        assert box.get_shown_name(own.name, own.namespace) == tool
    assert box.get_own_name("files__add") == ToolName("files__add")
    assert [tool.description for tool in box.tools if "Files of" in (tool.description or "")]


def test_a_name_without_its_namespace_is_found_where_there_is_only_one() -> None:
    box = make_toolbox(FILES)
    assert box.get_own_name("add") == ToolName("add", "files")
    assert box.get_shown_name("add") == "files__add"
    assert make_toolbox(FILES, ADD).get_own_name("add") == ToolName("add")
    assert box.get_own_name("none") == ToolName("none")


@pytest.mark.parametrize("tool", HOSTED, ids=lambda tool: tool["type"])
async def test_a_tool_of_openais_is_left_out_and_named(serve: Serve, tool: dict[str, Any]) -> None:
    served = serve(wants("Hm.</think>4"))
    response = await post(
        served, tools=[ADD, tool], tool_choice="auto", parallel_tool_calls=False, store=False
    )
    assert response.status_code == 200, response.text
    assert get_ignored(response) == ["tools[1]"]
    without = await post(served, tools=[ADD])
    assert response.json()["usage"] == without.json()["usage"]
    assert [echoed["name"] for echoed in response.json()["tools"]] == ["add"]
    alone = await post(served, tools=[tool])
    assert alone.json()["tools"] == []
    for choice in ("required", {"type": tool["type"]}):
        error = await get_refusal(served, tools=[tool], tool_choice=choice)
        assert "tool_choice" in error["message"]


async def test_a_tool_that_only_programs_may_call_is_left_out(serve: Serve) -> None:
    served = serve(wants("Hm.</think>4"))
    tool = ADD | {"allowed_callers": ["programmatic"]}
    assert get_ignored(await post(served, tools=[tool])) == ["tools[0]"]
    both = ADD | {"allowed_callers": ["direct", "programmatic"], "defer_loading": True}
    assert get_ignored(await post(served, tools=[both])) == []


def make_allowed(*tools: dict[str, Any], mode: str = "auto") -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": mode, "tools": list(tools)}


async def test_tools_that_are_not_allowed_are_shown_but_not_called(serve: Serve) -> None:
    calls = write_call("look-up", "{}") + write_call("add", ARGUMENTS)
    served = serve(wants(f"Hm.</think>{calls}"))
    look_up = {"type": "function", "name": "look-up"}
    all_tools = await respond(served, tools=[ADD, look_up])
    assert [call["name"] for call in get_items(all_tools, "function_call")] == ["look-up", "add"]
    choice = make_allowed({"type": "function", "name": "add"})
    response = await respond(served, tools=[ADD, look_up], tool_choice=choice)
    assert [call["name"] for call in get_items(response, "function_call")] == ["add"]
    assert response["usage"]["input_tokens"] == all_tools["usage"]["input_tokens"]
    assert response["tool_choice"] == choice
    Response.model_validate(response, strict=True)


async def test_a_call_that_is_not_allowed_is_the_text_that_the_model_wrote(serve: Serve) -> None:
    call = write_call("look-up", "{}")
    served = serve(wants(f"Hm.</think>{call}"))
    tools = [ADD, {"type": "function", "name": "look-up"}]
    choice = make_allowed({"type": "function", "name": "add"})
    response = fold(await get_transcript(served, tools=tools, tool_choice=choice))
    assert get_items(response, "function_call") == []
    assert get_answer(response) == call


async def test_allowed_tools_may_be_of_any_kind(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{write_call('files__add', ARGUMENTS)}"))
    choice = make_allowed(
        {"type": "namespace", "name": "files"},
        {"type": "mcp", "server_label": "a"},
        {"type": "custom", "name": "apply_patch", "namespace": "files"},
    )
    response = await post(served, tools=[FILES], tool_choice=choice)
    assert get_ignored(response) == ["tool_choice.tools[1]"]
    assert len(get_items(response.json(), "function_call")) == 1
    none = make_allowed({"type": "mcp", "server_label": "a"})
    response = await post(served, tools=[FILES], tool_choice=none)
    assert get_items(response.json(), "function_call") == []
    nothing = make_allowed({"type": "mcp", "server_label": "a"}, mode="required")
    error = await get_refusal(served, tools=[FILES], tool_choice=nothing)
    assert "tool_choice" in error["message"]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "namespace", "name": "a"}, "tools[0].tools"),
        ({"type": "namespace", "name": "a", "tools": [{"type": "function"}]}, "tools[0].tools[0]"),
        ({"type": "custom"}, "tools[0].name"),
        ({"type": "custom", "name": "a", "format": {"type": "xml"}}, "tools[0].format"),
        (FILES | {"tools": [ADD, ADD]}, "tools"),
        ({"name": "a"}, "tools[0]"),
    ],
)
async def test_a_wrong_tool_of_any_kind_is_refused_by_name(
    serve: Serve, tool: dict[str, Any], param: str
) -> None:
    error = await get_refusal(serve(wants("4")), tools=[tool])
    assert error["param"].startswith(param)


async def test_openais_client_reads_the_calls(serve: Serve) -> None:
    calls = write_call("files__add", ARGUMENTS) + write_text_call("apply_patch", PATCH)
    served = serve(wants(f"Hm.</think>{calls}"))
    tools: Any = [FILES, EDIT]
    async with served.openai.responses.stream(
        model=MODEL, input="a", temperature=0, tools=tools
    ) as stream:
        text = ""
        async for event in stream:
            if event.type == "response.custom_tool_call_input.delta":
                text += event.delta
        final = await stream.get_final_response()
    *_, function, custom = final.output
    assert function.type == "function_call"
    assert (function.namespace, function.name) == ("files", "add")
    assert custom.type == "custom_tool_call"
    assert custom.input == text == PATCH
    again = await served.openai.responses.create(
        model=MODEL,
        temperature=0,
        tools=tools,
        input=[
            {"role": "user", "content": "a"},
            *[item.to_dict() for item in final.output],  # type: ignore[list-item]
            {"type": "function_call_output", "call_id": function.call_id, "output": "1"},
            {"type": "custom_tool_call_output", "call_id": custom.call_id, "output": "ok"},
        ],
    )
    assert again.status == "completed"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("written", ['{"n": 4}', write_call("files__add", ARGUMENTS)])
async def test_with_a_schema_an_answer_is_a_call_or_keeps_the_schema(
    serve: Serve, written: str
) -> None:
    served = serve(wants(f"Hm.</think>{written}"))
    text = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}
    response = await respond(served, tools=[ADD, FILES], text=text)
    if written.startswith("{"):
        assert json.loads(get_answer(response)) == {"n": 4}
        assert get_items(response, "function_call") == []
    else:
        (call,) = get_items(response, "function_call")
        assert (call["namespace"], call["name"]) == ("files", "add")
        assert get_items(response, "message") == []
