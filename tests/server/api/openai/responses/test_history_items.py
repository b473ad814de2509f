"""Items that this server never writes: what clients of other servers send back to it."""

import json
from functools import partial
from typing import Any

import pytest
from pydantic import TypeAdapter

from server.api.openai.responses.conversation import ConversationBuilder, build_conversation
from server.api.openai.responses.items import Item, read_item
from server.api.openai.responses.summary import seal_summary
from server.api.openai.responses.toolbox import Toolbox
from server.api.openai.responses.tools import Tools
from server.keys.sealed_thoughts import ThoughtSeal
from tests.server.api.openai.responses.conftest import get_ignored, get_refusal, post, respond
from tests.server.api.openai.responses.test_tool_kinds import FILES
from tests.server.conftest import Serve, wants

SEAL = ThoughtSeal()
USER = {"role": "user", "content": "hi"}
NO_THOUGHT = {"max_thinking_tokens": 0}
Json = dict[str, Any]
# By kind: the items, and the calls (name, arguments) and outputs that the model is told of.
TOLD: dict[str, tuple[list[Json], list[tuple[str, Any]], list[str]]] = {
    "custom_tool_call": (
        [
            {"type": "custom_tool_call", "call_id": "c", "name": "edit", "input": "a\n"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        ],
        [("edit", {"input": "a\n"})],
        ["ok"],
    ),
    "function_call of a namespace": (
        [
            {
                "type": "function_call",
                "call_id": "c",
                "name": "add",
                "namespace": "mcp_fs",
                "arguments": "{}",
            },
            {"type": "function_call_output", "call_id": "c", "output": "3"},
        ],
        [("mcp_fs__add", {})],
        ["3"],
    ),
    "local_shell_call": (
        [
            {
                "type": "local_shell_call",
                "id": "i",
                "call_id": "c",
                "status": "completed",
                "action": {"type": "exec", "command": ["ls"], "env": {}},
            },
            {"type": "local_shell_call_output", "id": "c", "output": "a.txt"},
        ],
        [("local_shell", {"type": "exec", "command": ["ls"], "env": {}})],
        ["a.txt"],
    ),
    "local_shell_call answered as Codex does": (
        [
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
            {"type": "function_call_output", "call_id": "c", "output": "a.txt"},
        ],
        [("local_shell", {"command": ["ls"]})],
        ["a.txt"],
    ),
    "shell_call": (
        [
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
            {
                "type": "shell_call_output",
                "call_id": "c",
                "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit"}}],
            },
        ],
        [("shell", {"commands": ["ls"]})],
        ['[{"stdout": "a", "stderr": "", "outcome": {"type": "exit"}}]'],
    ),
    "apply_patch_call": (
        [
            {
                "type": "apply_patch_call",
                "call_id": "c",
                "status": "completed",
                "operation": {"type": "delete_file", "path": "a"},
            },
            {"type": "apply_patch_call_output", "call_id": "c", "status": "completed"},
        ],
        [("apply_patch", {"type": "delete_file", "path": "a"})],
        ["completed"],
    ),
    "mcp_call": (
        [
            {
                "type": "mcp_call",
                "id": "m",
                "server_label": "docs",
                "name": "find",
                "arguments": '{"q": "a"}',
                "output": "b",
            }
        ],
        [("docs__find", {"q": "a"})],
        ["b"],
    ),
    "code_interpreter_call": (
        [
            {
                "type": "code_interpreter_call",
                "id": "ci",
                "code": "1+1",
                "container_id": "x",
                "status": "completed",
                "outputs": [{"type": "logs", "logs": "2"}],
            }
        ],
        [("code_interpreter", {"code": "1+1"})],
        ["2"],
    ),
    "file_search_call": (
        [
            {
                "type": "file_search_call",
                "id": "fs",
                "status": "completed",
                "queries": ["a"],
                "results": [{"file_id": "f", "filename": "a.md", "text": "b", "score": 1}],
            }
        ],
        [("file_search", {"queries": ["a"]})],
        ['[{"filename": "a.md", "text": "b"}]'],
    ),
}
LEFT_OUT: list[Json] = [
    {
        "type": "web_search_call",
        "id": "ws",
        "status": "completed",
        "action": {"type": "search", "query": "x"},
    },
    {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["a"]},
    {"type": "code_interpreter_call", "id": "ci", "code": None, "outputs": None},
    {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "AA"},
    {"type": "computer_call", "id": "cc", "call_id": "c", "action": {"type": "screenshot"}},
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
    {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"q": "a"}},
    {"type": "tool_search_output", "call_id": "c", "tools": [FILES]},
    {"type": "additional_tools", "role": "developer", "tools": [FILES]},
    {"type": "mcp_list_tools", "id": "m", "server_label": "a", "tools": []},
    {"type": "mcp_approval_request", "id": "m", "name": "a", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
    {"type": "mcp_call", "id": "m", "name": "a", "arguments": "{}", "server_label": "b"},
    {"type": "program", "id": "p", "call_id": "c", "code": "1", "fingerprint": "f"},
    {"type": "program_output", "id": "p", "call_id": "c", "result": "1"},
    {"type": "shell_call_output", "call_id": "none", "output": []},
    {"type": "local_shell_call"},
    {"type": "compaction", "id": "cmp", "encrypted_content": "of another server"},
    {"type": "an_item_of_next_year", "thinking_budget": 5, "id": 7},
]


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for items: the tests' tokens are letters."""
    return partial(serve, max_model_len=4096)


def build(*items: Json, tools: tuple[Json, ...] = ()) -> ConversationBuilder:
    given: list[Item] = [read_item(item) for item in items]
    toolbox = Toolbox(TypeAdapter(Tools).validate_python(list(tools)) or ())
    return build_conversation(SEAL, toolbox, None, (), given)


@pytest.mark.parametrize(("items", "calls", "outputs"), TOLD.values(), ids=TOLD)
def test_a_call_of_any_kind_is_told_as_a_function(
    items: list[Json], calls: list[tuple[str, Any]], outputs: list[str]
) -> None:
    builder = build(USER, *items, USER)
    assert builder.left_out == []
    told = [call for message in builder.messages for call in message.get("tool_calls", ())]
    assert [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in told
    ] == calls
    results = [message for message in builder.messages if message["role"] == "tool"]
    assert [result["content"] for result in results] == outputs
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in told]
    assert [result["name"] for result in results] == [name for name, _ in calls]


@pytest.mark.parametrize("items", [items for items, *_ in TOLD.values()], ids=TOLD)
async def test_a_call_of_any_kind_is_accepted_and_listed(serve: Serve, items: list[Json]) -> None:
    served = serve(wants("4"))
    response = await post(served, input=[USER, *items, USER], **NO_THOUGHT)
    assert response.status_code == 200, response.text
    assert get_ignored(response) == []
    path = f"/v1/responses/{response.json()['id']}/input_items?order=asc"
    listed = (await served.http.get(path)).json()["data"]
    for item, found in zip([USER, *items, USER], listed, strict=True):
        assert found["id"]
        assert found["type"] == item.get("type", "message")


@pytest.mark.parametrize("item", LEFT_OUT, ids=lambda item: item["type"])
async def test_an_item_that_cannot_be_used_is_left_out_and_named(serve: Serve, item: Json) -> None:
    served = serve(wants("4"))
    response = await post(served, input=[USER, item, USER], **NO_THOUGHT)
    assert response.status_code == 200, response.text
    assert get_ignored(response) == ["input[1]"]
    without = await post(served, input=[USER, USER], **NO_THOUGHT)
    assert response.json()["usage"] == without.json()["usage"]
    again = await post(served, input="a", previous_response_id=response.json()["id"], **NO_THOUGHT)
    assert again.status_code == 200, again.text


@pytest.mark.parametrize("content", [None, "visible"])
async def test_a_thought_of_another_server_is_left_out(serve: Serve, content: str | None) -> None:
    thought: Json = {
        "type": "reasoning",
        "id": "rs_of_another",
        "summary": [{"type": "summary_text", "text": "s"}],
        "encrypted_content": "gAAAA of another",
        "status": None,
        "format": "openai-responses-v1",
        "signature": "abc",
    }
    if content is not None:
        thought["content"] = [{"type": "reasoning_text", "text": content}]
    response = await post(
        serve(wants("4")),
        input=[USER, thought, {"role": "assistant", "content": "a"}, USER],
        **NO_THOUGHT,
    )
    assert response.status_code == 200, response.text
    assert "input[1].encrypted_content" in get_ignored(response)
    kept = {key: value for key, value in thought.items() if key not in ("format", "signature")}
    messages = build(kept, {"role": "assistant", "content": "a"}).messages
    assert messages[0].get("reasoning_content") == content


def test_a_summary_of_ours_stands_for_the_conversation_before_it() -> None:
    sealed = seal_summary(SEAL, "They agreed on 4.")
    builder = build(USER, {"type": "compaction", "encrypted_content": sealed}, USER)
    assert builder.left_out == []
    assert builder.messages[1]["role"] == "assistant"
    assert builder.messages[1]["content"].endswith("They agreed on 4.")
    thought = SEAL.seal("a thought")
    assert build({"type": "compaction", "encrypted_content": thought}).left_out == ["input[0]"]


async def test_leftovers_of_sdks_are_accepted(serve: Serve) -> None:
    items: list[Json] = [
        USER,
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "final_answer",
            "content": [
                {
                    "type": "output_text",
                    "text": "{}",
                    "annotations": [],
                    "logprobs": None,
                    "parsed": {"a": 1},
                }
            ],
            "reasoning_content": "t",
            "reasoning_details": [{"type": "reasoning.text", "text": "t"}],
            "provider_specific_fields": {},
            "internal_chat_message_metadata_passthrough": {"turn_id": "t"},
        },
        {
            "type": "function_call",
            "id": None,
            "call_id": "c",
            "name": "add",
            "arguments": "{}",
            "parsed_arguments": {"a": 1},
            "status": None,
            "caller": {"type": "direct"},
            "provider_data": {"model": "x"},
        },
        {"type": "function_call_output", "call_id": "c", "output": [], "status": "completed"},
    ]
    response = await post(serve(wants("4")), input=items, **NO_THOUGHT)
    assert response.status_code == 200, response.text


async def test_input_items_keep_the_phase_of_a_message(serve: Serve) -> None:
    served = serve(wants("4"))
    message = {"role": "assistant", "content": "I look.", "phase": "commentary"}
    response = await respond(served, input=[USER, message, USER], **NO_THOUGHT)
    path = f"/v1/responses/{response['id']}/input_items?order=asc"
    listed = (await served.http.get(path)).json()["data"]
    assert [item.get("phase") for item in listed] == [None, "commentary", None]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "compaction_trigger"},
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
    ],
)
async def test_an_item_that_is_a_command_is_refused(serve: Serve, item: Json) -> None:
    error = await get_refusal(serve(wants("4")), input=[USER, item])
    assert error["param"] == "input[1]"
    assert item["type"] in error["message"]
