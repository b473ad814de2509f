"""Requests as Codex 0.171 sends them: a task with tools, its whole history sent back each time."""

import json
from functools import partial
from typing import Any

import pytest

from tests.server.api.openai.responses.conftest import get_answer, get_ignored
from tests.server.api.openai.responses.folding import fold
from tests.server.api.openai.responses.test_tool_kinds import PATCH, write_text_call
from tests.server.conftest import MODEL, Serve, Served, split_events, wants
from tests.server.tools.conftest import write_call

Json = dict[str, Any]
SHELL: Json = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command in a PTY.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}},
        "required": ["cmd"],
        "additionalProperties": False,
    },
}
APPLY_PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Use the `apply_patch` tool to edit files. This is a FREEFORM tool.",
    "format": {
        "type": "grammar",
        "syntax": "lark",
        "definition": 'start: begin_patch hunk+ end_patch\nbegin_patch: "*** Begin Patch" LF\n'
        'end_patch: "*** End Patch" LF?\nhunk: "*** Add File: " filename LF add_line+\n'
        'filename: /(.+)/\nadd_line: "+" /(.*)/ LF -> line\n\n%import common.LF\n',
    },
}
MCP: Json = {
    "type": "namespace",
    "name": "mcp__docs",
    "description": "Tools of the server docs.",
    "tools": [
        {
            "type": "function",
            "name": "search",
            "description": "Searches the documentation.",
            "strict": False,
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        }
    ],
}
WEB: Json = {"type": "web_search", "external_web_access": False}


def make_text_item(role: str, text: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


TASK: list[Json] = [
    make_text_item("developer", "<permissions instructions>…</permissions instructions>"),
    make_text_item("user", "<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"),
    make_text_item("user", "Add a file.")
    | {"internal_chat_message_metadata_passthrough": {"turn_id": "t"}},
]


def make_body(items: list[Json]) -> Json:
    return {
        "model": MODEL,
        "instructions": "You are Codex.",
        "input": items,
        "tools": [SHELL, MCP, APPLY_PATCH, WEB],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": None},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199-thread",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "i", "session_id": "s"},
    }


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for tools: the tests' tokens are letters."""
    return partial(serve, max_model_len=16_384)


async def run_turn(served: Served, items: list[Json]) -> tuple[Json, list[str]]:
    """Return the response at the end of a turn's stream, and the fields that were not used."""
    response = await served.http.post(
        "/v1/responses", json=make_body(items), headers={"originator": "codex_exec"}
    )
    assert response.status_code == 200, response.text
    events = [json.loads(frame.split("data: ")[1]) for frame in split_events(response.text)]
    return fold(events), get_ignored(response)


async def test_a_task_runs_to_its_end_with_every_kind_of_tool(serve: Serve) -> None:
    calls = [
        write_call("exec_command", '{"cmd": "ls"}'),
        write_call("mcp__docs__search", '{"q": "files"}'),
        write_text_call("apply_patch", PATCH),
    ]
    items = list(TASK)
    kinds = []
    for call in [*calls, "Done."]:
        response, ignored = await run_turn(serve(wants(f"Hm.</think>{call}")), items)
        assert response["status"] == "completed"
        always = {"tools[3]", "tools[2].format", "text.verbosity"}
        always.add("input[2].internal_chat_message_metadata_passthrough")
        # Each server of this test has seals of its own.
        sealed = {f"input[{place}].encrypted_content" for place in range(len(items))}
        assert always <= set(ignored) <= always | sealed
        # Codex sends back each item of the output without its status.
        items += [without_status(item) for item in response["output"]]
        made = response["output"][-1]
        kinds.append((made["type"], made.get("namespace"), made.get("name")))
        if "call_id" in made:
            output = {"call_id": made["call_id"], "output": "ok"}
            items.append({"type": f"{made['type']}_output", **output})
    assert kinds == [
        ("function_call", None, "exec_command"),
        ("function_call", "mcp__docs", "search"),
        ("custom_tool_call", None, "apply_patch"),
        ("message", None, None),
    ]
    (patch,) = (item for item in items if item["type"] == "custom_tool_call")
    assert patch["input"] == PATCH


def without_status(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "status"}


async def test_a_thought_goes_through_codex_sealed(serve: Serve) -> None:
    served = serve(wants(f"A thought.</think>{write_call('exec_command', '{}')}"))
    first, _ = await run_turn(served, TASK)
    thought, call = first["output"]
    assert thought["encrypted_content"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}
    _, ignored = await run_turn(served, [*TASK, thought, call, output])
    assert not [path for path in ignored if "encrypted_content" in path]


async def test_models_are_listed_for_codex(serve: Serve) -> None:
    served = serve(wants("4"))
    response = await served.http.get("/v1/models", params={"client_version": "0.171.0"})
    assert response.status_code == 200
    assert response.json()["data"][0]["id"] == MODEL


async def test_a_compaction_that_codex_runs_itself_is_answered(serve: Serve) -> None:
    task = make_text_item("user", "You are performing a CONTEXT CHECKPOINT COMPACTION.")
    response, _ = await run_turn(serve(wants("Hm.</think>A summary.")), [*TASK, task])
    assert get_answer(response) == "A summary."
