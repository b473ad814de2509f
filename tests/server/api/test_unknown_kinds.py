"""Tools, items, parts and blocks of unknown types are left out, or refused if so configured."""

from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam

from server.api.foreign_kinds import UnknownKind, mark_item, mark_tool
from server.api.ignored import HEADER
from server.api.openai.responses.items import _COMMANDS, _MODELS
from server.api.openai.responses.tools import _KINDS
from tests.server.api.test_unknown_fields import CHAT, MESSAGES, RESPONSES, TOOL, USER, post
from tests.server.conftest import Serve, wants

Json = dict[str, Any]
TEXT: Json = {"type": "text", "text": "x"}
CHAT_TOOL: Json = {"type": "function", "function": TOOL}
RESPONSES_TOOL: Json = {"type": "function", **TOOL}
CLIENT_TOOL: Json = {"name": "add", "input_schema": {"type": "object"}}


def make_chat(reply: Json) -> Json:
    return {"messages": [USER, {"role": "assistant", "content": "x", **reply}, USER]}


def make_messages(block: Json) -> Json:
    reply = {"role": "assistant", "content": [block, TEXT]}
    return {"max_tokens": 9, "messages": [USER, reply, USER]}


def make_input(*items: Json) -> Json:
    return {"input": [USER, *items, USER]}


# By type: where the body is posted, the body with that type, and the path that is named.
PLACES: list[tuple[str, Any, str]] = [
    (CHAT, lambda kind: {"messages": [USER], "tools": [CHAT_TOOL, {"type": kind}]}, "tools[1]"),
    (CHAT, lambda kind: make_chat({"content": [{"type": kind}, TEXT]}), "messages[1].content[0]"),
    (
        CHAT,
        lambda kind: make_chat({"tool_calls": [{"id": "c", "type": kind}]}),
        "messages[1].tool_calls[0]",
    ),
    (RESPONSES, lambda kind: {"input": "a", "tools": [RESPONSES_TOOL, {"type": kind}]}, "tools[1]"),
    (
        RESPONSES,
        lambda kind: {
            "input": "a",
            "tools": [{"type": "namespace", "name": "n", "tools": [{"type": kind}]}],
        },
        "tools[0].tools[0]",
    ),
    (RESPONSES, lambda kind: make_input({"type": kind}), "input[1]"),
    (
        RESPONSES,
        lambda kind: make_input({"role": "assistant", "content": [{"type": kind}]}),
        "input[1].content[0]",
    ),
    (
        MESSAGES,
        lambda kind: make_messages(TEXT) | {"tools": [CLIENT_TOOL, {"type": kind, "name": "x"}]},
        "tools[1]",
    ),
    (MESSAGES, lambda kind: make_messages({"type": kind}), "messages[1].content[0]"),
]


@pytest.mark.parametrize(("path", "make", "named"), PLACES)
async def test_an_unknown_type_is_left_out_and_named(
    serve: Serve, path: str, make: Any, named: str
) -> None:
    response = await post(serve(wants("yes"), max_model_len=4096), path, make("sing_20990101"))
    assert response.status_code == 200, response.text
    assert response.headers[HEADER] == named


@pytest.mark.parametrize(("path", "make", "named"), PLACES)
async def test_an_unknown_type_is_refused_where_the_operator_says_so(
    serve: Serve, path: str, make: Any, named: str
) -> None:
    served = serve(wants("yes"), max_model_len=4096, unknown_fields="refuse")
    response = await post(served, path, make("sing_20990101"))
    assert response.status_code == 400
    assert f"{named}: is of an unknown type" in response.json()["error"]["message"]


@pytest.mark.parametrize("kind", [{}, [], ["text"], 7, True], ids=repr)
@pytest.mark.parametrize(("path", "make", "named"), PLACES)
async def test_a_type_that_is_no_text_is_refused(
    serve: Serve, path: str, make: Any, named: str, kind: Any
) -> None:
    response = await post(serve(wants("yes"), max_model_len=4096), path, make(kind))
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("kind", [{}, [], ["text"], 7, True], ids=repr)
async def test_a_tools_own_json_may_have_any_type(serve: Serve, kind: Any) -> None:
    """The result of a tool is data: what is no part of content is read as its JSON."""
    part = {"type": kind, "text": "x"}
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    chat = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [part]},
    ]
    items = [
        USER,
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [part]},
    ]
    served = serve(wants("yes"), max_model_len=4096)
    for path, body in ((CHAT, {"messages": chat}), (RESPONSES, {"input": items})):
        response = await post(served, path, body)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [USER], "tools": [CHAT_TOOL, {"type": "custom", "custom": {}}]}),
        (RESPONSES, {"input": "a", "tools": [RESPONSES_TOOL, {"type": "web_search"}]}),
        (RESPONSES, make_input({"type": "web_search_call", "id": "ws_1"})),
        (
            MESSAGES,
            make_messages(TEXT)
            | {"tools": [CLIENT_TOOL, {"type": "web_search_20250305", "name": "web_search"}]},
        ),
    ],
)
async def test_a_type_that_the_apis_have_is_never_refused(
    serve: Serve, path: str, body: Json
) -> None:
    served = serve(wants("yes"), max_model_len=4096, unknown_fields="refuse")
    response = await post(served, path, body)
    assert response.status_code == 200, response.text
    assert response.headers[HEADER]


def test_all_types_of_openais_sdk_are_known() -> None:
    for kind in list_types(ToolParam):
        assert kind in _KINDS or not isinstance(mark_tool("", kind), UnknownKind), kind
    for kind in list_types(ResponseInputItemParam):
        is_ours = kind in _MODELS or kind in _COMMANDS
        assert is_ours or not isinstance(mark_item("", kind), UnknownKind), kind


def list_types(union: Any) -> set[str]:
    """Return the values of `type` of all members of a union of typed dictionaries."""
    found: set[str] = set()
    pending = [union]
    while pending:
        member = pending.pop()
        if isinstance(member, str):
            found.add(member)
        elif isinstance(member, type):
            hints = get_type_hints(member)
            pending += [hints["type"]] if "type" in hints else []
        else:
            pending += get_args(member)
    assert len(found) > 10
    return found
