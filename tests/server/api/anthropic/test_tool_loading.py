"""Which tools of a Messages body the model is told of: Anthropic's own, deferred and added ones."""

from typing import Any

import pytest

from server.api.anthropic.protocol import CountTokensRequest
from server.api.anthropic.tool_loading import to_tool_use
from server.errors.api import BadRequestError
from server.tools.tool import ToolMode, ToolUse
from tests.server.api.anthropic.conftest import (
    Connect,
    create_message,
    make_arguments,
    post,
)
from tests.server.api.anthropic.test_tools import write_call
from tests.server.conftest import MODEL, Serve, wants

QUESTION: dict[str, Any] = {"role": "user", "content": "How many?"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ADD: dict[str, Any] = {"name": "add", "input_schema": SCHEMA, "description": "Adds."}
DEFERRED = {**ADD, "name": "later", "defer_loading": True}
SEARCH = {"name": "search", "input_schema": {"type": "object"}}
HOSTED_SEARCH = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}
REFERENCE = {"type": "tool_reference", "tool_name": "later"}
FOUND = [
    QUESTION,
    {"role": "assistant", "content": [CALL]},
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [REFERENCE]}],
    },
]


def make_request(
    tools: list[dict[str, Any]], *messages: dict[str, Any], **fields: Any
) -> CountTokensRequest:
    body = {"model": MODEL, "messages": [*messages] or [QUESTION], "tools": tools, **fields}
    return CountTokensRequest.model_validate(body)


def read(
    tools: list[dict[str, Any]], *messages: dict[str, Any], left_out: list[str] | None = None
) -> ToolUse | None:
    body = make_request(tools, *messages)
    return to_tool_use(body, ([] if left_out is None else left_out).append)


def list_names(tools: list[dict[str, Any]], *messages: dict[str, Any], **choice: Any) -> list[str]:
    use = to_tool_use(make_request(tools, *messages, **choice), lambda _: None)
    return [] if use is None else [tool.name for tool in use.tools]


def test_a_deferred_tool_is_there_once_the_clients_search_found_it() -> None:
    assert list_names([SEARCH, DEFERRED]) == ["search"]
    assert list_names([SEARCH, DEFERRED], *FOUND) == ["search", "later"]


def test_a_deferred_tool_is_there_once_another_servers_search_found_it() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "tool_search_tool_bm25", "input": {}}
    found = {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]}
    result = {"type": "tool_search_tool_result", "tool_use_id": "s", "content": found}
    turn = {"role": "assistant", "content": [use, result]}
    assert list_names([SEARCH, DEFERRED], QUESTION, turn, QUESTION) == ["search", "later"]


def test_a_chosen_tool_is_there() -> None:
    choice = {"type": "tool", "name": "later"}
    assert list_names([SEARCH, DEFERRED], tool_choice=choice) == ["search", "later"]


def test_where_nobody_can_search_all_are_there() -> None:
    paths: list[str] = []
    use = read([HOSTED_SEARCH, ADD, DEFERRED], left_out=paths)
    assert use is not None
    assert [tool.name for tool in use.tools] == ["add", "later"]
    assert paths == ["tools[0]"]
    assert list_names([DEFERRED]) == ["later"]


def test_a_reference_to_no_tool_is_named() -> None:
    paths: list[str] = []
    read([SEARCH], *FOUND, left_out=paths)
    assert paths == ["messages[2].content[0].content[0]"]


async def test_the_model_reads_which_tool_was_loaded(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    await create_message(served, messages=FOUND, tools=[SEARCH, DEFERRED])
    assert served.engine.last_request is not None
    prompt = served.engine.tokenizer.decode(served.engine.last_request.prompt_token_ids)
    assert "Loaded tool: later" in prompt
    assert '"name": "later"' in prompt
    await create_message(served, tools=[SEARCH, DEFERRED])
    prompt = served.engine.tokenizer.decode(served.engine.last_request.prompt_token_ids)
    assert "later" not in prompt


def make_change(kind: str, tool: dict[str, Any]) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": f"tool_{kind}", "tool": tool}]}


def test_system_turns_add_and_remove_tools() -> None:
    by_name = {"type": "tool_reference", "name": "later"}
    addition = make_change("addition", by_name)
    removal = make_change("removal", by_name)
    assert list_names([SEARCH, DEFERRED], QUESTION, addition) == ["search", "later"]
    assert list_names([SEARCH, DEFERRED], QUESTION, addition, removal) == ["search"]
    assert list_names([SEARCH, DEFERRED], QUESTION, removal, addition) == ["search", "later"]
    definition = make_change("addition", {"type": "tool_definition", "definition": ADD})
    assert list_names([SEARCH], QUESTION, definition) == ["search", "add"]
    assert list_names([], QUESTION, definition) == ["add"]
    summary = {
        "role": "user",
        "content": [
            {"type": "compaction", "content": "So far.", "tool_changes": addition["content"]}
        ],
    }
    assert list_names([SEARCH, DEFERRED], summary) == ["search", "later"]


async def test_a_turn_that_only_changes_tools_says_nothing(serve: Serve) -> None:
    change = make_change("addition", {"type": "tool_definition", "definition": ADD})
    response = await post(serve(max_model_len=4096), messages=[QUESTION, change])
    assert response.status_code == 200, response.text
    assert "x-ignored-fields" not in response.headers


def test_a_change_that_cannot_be_made_is_named_or_refused() -> None:
    paths: list[str] = []
    unknown = make_change("removal", {"type": "mcp_toolset_reference", "server_name": "s"})
    read([ADD], QUESTION, unknown, left_out=paths)
    assert paths == ["messages[1].content[0]"]
    bad = make_change("addition", {"type": "tool_definition", "definition": {"name": "a"}})
    with pytest.raises(BadRequestError, match="valid tool"):
        read([ADD], QUESTION, bad)


def test_examples_of_input_are_in_the_description() -> None:
    use = read([{**ADD, "input_examples": [{"a": 2}, {"a": 3}]}])
    assert use is not None
    assert use.tools[0].description == 'Adds.\n\nExamples of input:\n{"a": 2}\n{"a": 3}'
    del (bare := {**ADD, "input_examples": [{"a": 2}]})["description"]
    use = read([bare])
    assert use is not None
    assert use.tools[0].description == 'Examples of input:\n{"a": 2}'


CLIENTS_TOOLS: list[tuple[dict[str, Any], set[str]]] = [
    ({"type": "bash_20250124", "name": "bash"}, {"command", "restart"}),
    ({"type": "bash_20241022", "name": "bash"}, {"command", "restart"}),
    (
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}
        | {"max_characters": 1000},
        {"command", "path", "insert_text"},
    ),
    (
        {"type": "text_editor_20250124", "name": "str_replace_editor"},
        {"command", "path", "new_str"},
    ),
    ({"type": "memory_20250818", "name": "memory"}, {"command", "path", "old_path", "new_path"}),
    (
        {"type": "computer_20251124", "name": "computer", "enable_zoom": True}
        | {"display_width_px": 1024, "display_height_px": 768, "display_number": 1},
        {"action", "coordinate", "scroll_direction", "region"},
    ),
]


@pytest.mark.parametrize(("tool", "fields"), CLIENTS_TOOLS)
def test_a_tool_that_the_client_runs_has_its_schema(tool: dict[str, Any], fields: set[str]) -> None:
    paths: list[str] = []
    use = read([tool], left_out=paths)
    assert use is not None
    (made,) = use.tools
    assert made.name == tool["name"]
    assert made.description
    assert fields <= set(made.parameters["properties"])
    assert set(made.parameters.get("required", ())) <= set(made.parameters["properties"])
    assert not paths


def test_only_what_a_version_can_do_is_offered() -> None:
    def list_words(kind: str, field: str, **more: Any) -> list[str]:
        use = read([{"type": kind, "name": "x", **more}])
        assert use is not None
        return list(use.tools[0].parameters["properties"][field]["enum"])

    assert "undo_edit" in list_words("text_editor_20250124", "command")
    assert "undo_edit" not in list_words("text_editor_20250728", "command")
    assert "scroll" not in list_words("computer_20241022", "action")
    assert "scroll" in list_words("computer_20250124", "action")
    assert "zoom" not in list_words("computer_20251124", "action")
    assert "zoom" in list_words("computer_20251124", "action", enable_zoom=True)


async def test_the_model_calls_bash_and_the_client_runs_it(serve: Serve, connect: Connect) -> None:
    call = write_call("bash", {"command": "ls"})
    served = serve(wants(f"</think>{call}"), max_model_len=4096)
    client = connect(served)
    arguments = make_arguments(tools=[{"type": "bash_20250124", "name": "bash"}], max_tokens=300)
    message = await client.messages.create(**arguments)
    (block,) = message.content
    assert block.type == "tool_use"
    assert (block.name, block.input) == ("bash", {"command": "ls"})
    assert message.stop_reason == "tool_use"


async def test_hundreds_of_tools_are_accepted(serve: Serve) -> None:
    tools = [{"name": f"t{number}", "input_schema": {"type": "object"}} for number in range(300)]
    response = await post(serve(max_model_len=60_000), tools=tools)
    assert response.status_code == 200, response.text


def test_a_newer_name_for_a_tool_with_a_schema_is_no_obstacle() -> None:
    use = read([{**ADD, "type": "custom_20270101"}])
    assert use is not None
    assert [tool.name for tool in use.tools] == ["add"]
    assert use.mode is ToolMode.AUTO
