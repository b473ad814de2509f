"""``context_management`` clears what it says, and the response shows what it cleared."""

from typing import Any

import pytest

from server.api.anthropic.blocks import ThinkingBlock, ToolResultBlock, ToolUseBlock
from server.api.anthropic.context_edits import (
    CLEARED,
    ContextManagement,
    EditedTurns,
    Turns,
    apply_edits,
)
from server.api.anthropic.protocol import CountTokensRequest
from tests.server.api.anthropic.conftest import (
    PATH,
    WANTED,
    Connect,
    create_message,
    get_events,
    make_arguments,
    make_body,
    make_thinking,
)
from tests.server.conftest import MODEL, Serve, wants

THINKING = "clear_thinking_20251015"
TOOL_USES = "clear_tool_uses_20250919"
QUESTION: dict[str, Any] = {"role": "user", "content": "How many?"}


def make_thought(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": "s"}


def make_call(number: int, name: str = "add") -> list[dict[str, Any]]:
    """Return a call with a thought, and its result."""
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {"a": number}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "x" * 200}
    return [
        {"role": "assistant", "content": [make_thought(f"t{number}"), use]},
        {"role": "user", "content": [result]},
    ]


ANSWER = {"role": "assistant", "content": [make_thought("so"), {"type": "text", "text": "4"}]}
TURNS = [QUESTION, *make_call(1), *make_call(2), ANSWER, QUESTION, *make_call(3)]


def read_turns(turns: list[dict[str, Any]]) -> Turns:
    return CountTokensRequest.model_validate({"model": MODEL, "messages": turns}).messages


async def edit(
    *edits: dict[str, Any], turns: list[dict[str, Any]] = TURNS, left_out: list[str] | None = None
) -> EditedTurns:
    async def count(turns: Turns) -> int:
        return sum(len(turn.model_dump_json()) for turn in turns)

    management = ContextManagement.model_validate({"edits": [*edits]})
    note = ([] if left_out is None else left_out).append
    return await apply_edits(management.edits or [], read_turns(turns), count, note)


def list_thoughts(edited: EditedTurns) -> list[str]:
    return [
        str(block.thinking)
        for turn in edited.turns
        for block in turn.content
        if isinstance(block, ThinkingBlock)
    ]


def list_cleared(edited: EditedTurns) -> list[str]:
    return [
        block.tool_use_id
        for turn in edited.turns
        for block in turn.content
        if isinstance(block, ToolResultBlock) and CLEARED in str(block.content)
    ]


@pytest.mark.parametrize(
    ("keep", "kept", "num_cleared"),
    [
        ("all", ["t1", "t2", "so", "t3"], 0),
        ({"type": "all"}, ["t1", "t2", "so", "t3"], 0),
        (None, ["t3"], 1),
        ({"type": "thinking_turns", "value": 1}, ["t3"], 1),
        ({"type": "thinking_turns", "value": 2}, ["t1", "t2", "so", "t3"], 0),
        ({"type": "thinking_turns", "value": 0}, [], 2),
    ],
)
async def test_thoughts_of_earlier_turns_are_cleared(
    keep: Any, kept: list[str], num_cleared: int
) -> None:
    """A turn goes on through its calls: the thoughts of a running one are kept together."""
    edited = await edit({"type": THINKING, **({} if keep is None else {"keep": keep})})
    assert list_thoughts(edited) == kept
    if not num_cleared:
        assert edited.applied == []
        return
    (applied,) = edited.applied
    assert (applied["type"], applied["cleared_thinking_turns"]) == (THINKING, num_cleared)
    assert applied["cleared_input_tokens"] > 0


AT_ONCE = {"type": "tool_uses", "value": 1}


@pytest.mark.parametrize(
    ("fields", "cleared"),
    [
        ({}, []),  # far below 100,000 tokens
        (
            {
                "trigger": {"type": "tool_uses", "value": 3},
                "keep": {"type": "tool_uses", "value": 0},
            },
            [],
        ),
        ({"trigger": AT_ONCE}, []),  # three are kept
        ({"trigger": AT_ONCE, "keep": {"type": "tool_uses", "value": 1}}, ["toolu_1", "toolu_2"]),
        (
            {"trigger": AT_ONCE, "keep": {"type": "tool_uses", "value": 0}},
            ["toolu_1", "toolu_2", "toolu_3"],
        ),
        (
            {
                "trigger": {"type": "input_tokens", "value": 100},
                "keep": {"type": "tool_uses", "value": 2},
            },
            ["toolu_1"],
        ),
        (
            {
                "trigger": {"type": "input_tokens", "value": 100_000},
                "keep": {"type": "tool_uses", "value": 2},
            },
            [],
        ),
        (
            {
                "trigger": AT_ONCE,
                "keep": {"type": "tool_uses", "value": 0},
                "exclude_tools": ["add"],
            },
            [],
        ),
        (
            {
                "trigger": AT_ONCE,
                "keep": {"type": "tool_uses", "value": 0},
                "clear_at_least": {"type": "input_tokens", "value": 100_000},
            },
            [],
        ),
    ],
)
async def test_results_of_earlier_calls_are_cleared(
    fields: dict[str, Any], cleared: list[str]
) -> None:
    edited = await edit({"type": TOOL_USES, **fields})
    assert list_cleared(edited) == cleared
    assert [entry["cleared_tool_uses"] for entry in edited.applied] == (
        [len(cleared)] if cleared else []
    )


@pytest.mark.parametrize(
    ("which", "is_cleared"),
    [(None, False), (False, False), (True, True), (["add"], True), (["look"], False)],
)
async def test_inputs_are_cleared_where_asked(which: Any, is_cleared: bool) -> None:
    edited = await edit(
        {
            "type": TOOL_USES,
            "trigger": AT_ONCE,
            "keep": {"type": "tool_uses", "value": 1},
            "clear_tool_inputs": which,
        }
    )
    inputs = [
        block.input
        for turn in edited.turns
        for block in turn.content
        if isinstance(block, ToolUseBlock)
    ]
    first = {} if is_cleared else {"a": 1}
    assert (inputs[0], inputs[2]) == (first, {"a": 3})


async def test_nothing_is_cleared_where_that_saves_nothing() -> None:
    turns = [QUESTION, *make_call(1), *make_call(2)]
    turns[2]["content"][0]["content"] = "ok"
    keep = {"type": "tool_uses", "value": 1}
    edited = await edit({"type": TOOL_USES, "trigger": AT_ONCE, "keep": keep}, turns=turns)
    assert not edited.applied
    assert list_cleared(edited) == []


async def test_edits_follow_each_other_and_an_unknown_one_is_named() -> None:
    paths: list[str] = []
    edited = await edit(
        {"type": THINKING},
        {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}},
        {"type": TOOL_USES, "trigger": AT_ONCE, "keep": {"type": "tool_uses", "value": 1}},
        left_out=paths,
    )
    assert [entry["type"] for entry in edited.applied] == [THINKING, TOOL_USES]
    assert paths == ["context_management.edits[1]"]


CLEAR_ALL = {
    "edits": [
        {"type": TOOL_USES, "trigger": AT_ONCE, "keep": {"type": "tool_uses", "value": 1}},
    ]
}


async def test_the_response_says_what_was_cleared_streamed_or_not(
    serve: Serve, connect: Connect
) -> None:
    served = serve(wants(WANTED), max_model_len=4096)
    client = connect(served)
    asked = make_arguments(messages=TURNS, context_management=CLEAR_ALL)
    whole = await client.beta.messages.create(**asked)
    assert whole.context_management is not None
    (edit,) = whole.context_management.applied_edits
    assert edit.type == TOOL_USES
    assert edit.cleared_tool_uses == 2
    assert edit.cleared_input_tokens > 0
    assert served.engine.last_request is not None
    prompt = served.engine.tokenizer.decode(served.engine.last_request.prompt_token_ids)
    assert prompt.count(CLEARED) == 2
    async with client.beta.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    assert streamed.context_management == whole.context_management


async def test_what_is_counted_is_what_is_left_and_what_there_was(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    fields = {"messages": TURNS, "context_management": CLEAR_ALL}
    asked = {key: make_body(**fields)[key] for key in ("model", *fields)}
    counted = (await served.http.post(f"{PATH}/count_tokens", json=asked)).json()
    del asked["context_management"]
    before = (await served.http.post(f"{PATH}/count_tokens", json=asked)).json()
    assert before == {"input_tokens": counted["context_management"]["original_input_tokens"]}
    assert counted["input_tokens"] < before["input_tokens"]
    reply = await create_message(served, **fields)
    applied = reply["context_management"]["applied_edits"][0]
    assert applied["cleared_input_tokens"] == before["input_tokens"] - counted["input_tokens"]


async def test_a_conversation_fits_after_its_edits(serve: Serve) -> None:
    served = serve(max_model_len=1350)
    turns = [QUESTION]
    for number in range(8):
        call, result = make_call(number)
        result["content"][0]["content"] = "y" * 150
        turns += [call, result]
    fields: dict[str, Any] = {"messages": turns, "thinking": {"type": "disabled"}}
    refused = await served.http.post(PATH, json=make_body(**fields))
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("prompt is too long")
    reply = await create_message(served, **fields, max_tokens=4, context_management=CLEAR_ALL)
    assert reply["context_management"]["applied_edits"]


async def test_nothing_is_shown_where_nothing_was_asked(serve: Serve) -> None:
    served = serve(wants(WANTED))
    assert "context_management" not in await create_message(served)
    keeps = {"edits": [{"type": THINKING, "keep": "all"}]}
    reply = await create_message(served, context_management=keeps)
    assert reply["context_management"] == {"applied_edits": []}
    events = await get_events(served, context_management=keeps, thinking=make_thinking())
    assert events[-2]["context_management"] == {"applied_edits": []}
