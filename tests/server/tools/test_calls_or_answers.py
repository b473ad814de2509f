"""Tools together with an answer schema: an answer is a call, or conforms to the schema."""

import json
from typing import Any

import pytest

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine.scripted import ScriptedEngine
from server.errors.internal import ConstraintError
from tests.server.conftest import Serve, Served, ids, make_profile, wants
from tests.server.tools.conftest import (
    ADD,
    LOOK_UP,
    NAMED_ADD,
    Turn,
    get_both,
    get_turn,
    write_call,
    write_call_list,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "out", "schema": SCHEMA}}
FORMATS: list[dict[str, Any]] = [
    {"response_format": FORMAT},
    {"response_format": {"type": "json_object"}},
    {"structured_outputs": {"json": SCHEMA}},
    {"structured_outputs": {"json_object": True}},
]
CALL = write_call("add", '{"a": 1, "b": 22}')
# A string that looks like a call.
TRICKY = json.dumps({"answer": f"{CALL} or <tool_call>"})


def get_structure(served: Served) -> dict[str, Any]:
    """Return the union that the engine enforces on the last request."""
    assert served.engine.last_request is not None
    constraint = served.engine.last_request.constraint
    assert constraint is not None
    assert constraint.kind is ConstraintKind.STRUCTURE
    tag: dict[str, Any] = json.loads(constraint.text)
    assert tag["type"] == "structural_tag"
    assert tag["format"]["type"] == "or"
    union: dict[str, Any] = tag["format"]
    return union


@pytest.mark.parametrize("fields", FORMATS)
async def test_a_call_is_a_call(serve: Serve, fields: dict[str, Any]) -> None:
    served = serve(wants(f"hm</think>{CALL}"))
    turn = await get_both(served, tools=[ADD, LOOK_UP], **fields)
    assert turn == Turn(None, [("add", '{"a": 1, "b": 22}')], "tool_calls")


@pytest.mark.parametrize("fields", FORMATS)
@pytest.mark.parametrize("text", ['{"answer": "23"}', TRICKY])
async def test_an_answer_is_an_answer_whatever_its_strings_hold(
    serve: Serve, fields: dict[str, Any], text: str
) -> None:
    served = serve(wants(f"{CALL}</think>{text}"))
    assert await get_both(served, tools=[ADD], **fields) == Turn(text, [], "stop")


async def test_an_answer_is_streamed_as_it_is_written(serve: Serve) -> None:
    served = serve(wants("</think>" + '{"answer": "23"}'))
    events = await served.events(tools=[ADD], response_format=FORMAT, temperature=0)
    pieces = [event["choices"][0]["delta"].get("content") for event in events]
    assert len([piece for piece in pieces if piece]) > 5


async def test_the_engine_enforces_calls_or_the_schema(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}"))
    await get_turn(served, tools=[ADD, LOOK_UP], response_format=FORMAT)
    calls, answer = get_structure(served)["elements"]
    assert answer["json_schema"] == SCHEMA
    schemas = [tag["content"]["json_schema"] for tag in calls["tags"]]
    assert ADD["function"]["parameters"] in schemas
    assert '"name": "look-up"' in json.dumps(calls).replace("\\", "")
    # Alone, the schema has been checked too: more is known then of what cannot be enforced.
    assert [constraint.kind for constraint in served.engine.constraints] == [
        ConstraintKind.JSON_SCHEMA,
        ConstraintKind.STRUCTURE,
    ]


@pytest.mark.parametrize("parallel", [True, False])
async def test_one_call_is_one_if_one_is_wanted(serve: Serve, parallel: bool) -> None:
    served = serve(wants(f"</think>{CALL}\n{CALL}"))
    fields: dict[str, Any] = {"tools": [ADD], "parallel_tool_calls": parallel}
    turn = await get_both(served, response_format=FORMAT, **fields)
    assert len(turn.calls) == (2 if parallel else 1)
    calls, _ = get_structure(served)["elements"]
    assert calls["stop_after_first"] is not parallel


async def test_a_call_cut_before_its_name_leaves_nothing(serve: Serve) -> None:
    served = serve(wants(CALL))
    fields: dict[str, Any] = {"max_thinking_tokens": 0, "tools": [ADD], "response_format": FORMAT}
    early = len(ids(CALL[: CALL.index("add")]))
    turn = await get_both(served, max_tokens=early, **fields)
    assert turn == Turn("", [], "length")
    late = len(ids(CALL[: CALL.index("22")]))
    turn = await get_both(served, max_tokens=late, **fields)
    assert turn == Turn(None, [("add", '{"a": 1, "b":')], "length")


@pytest.mark.parametrize(
    "fields", [*FORMATS, {"structured_outputs": {"regex": "x"}}], ids=lambda fields: str(fields)
)
async def test_a_call_that_is_required_wins(serve: Serve, fields: dict[str, Any]) -> None:
    served = serve(wants(f"</think>{write_call_list(('add', {'a': 1}))}"))
    turn = await get_both(served, tools=[ADD], tool_choice="required", **fields)
    assert turn == Turn(None, [("add", '{"a": 1}')], "tool_calls")
    assert json.loads(served.engine.constraints[-1].text)["type"] == "array"
    served = serve(wants('</think>{"a": 1}'))
    turn = await get_both(served, tools=[ADD], tool_choice=NAMED_ADD, **fields)
    assert turn == Turn(None, [("add", '{"a": 1}')], "stop")


@pytest.mark.parametrize("fields", [{"tools": [ADD], "tool_choice": "none"}, {"tools": []}])
async def test_where_no_tool_may_be_called_the_schema_holds(
    serve: Serve, fields: dict[str, Any]
) -> None:
    served = serve(wants(f"</think>{TRICKY}"))
    assert await get_both(served, response_format=FORMAT, **fields) == Turn(TRICKY, [], "stop")
    assert {constraint.kind for constraint in served.engine.constraints} == {
        ConstraintKind.JSON_SCHEMA
    }


async def test_an_expression_is_enforced_as_it_is(serve: Serve) -> None:
    """It can allow calls itself."""
    served = serve(wants(f"</think>{CALL}"))
    turn = await get_both(served, tools=[ADD], structured_outputs={"regex": "<tool_call>.*"})
    assert turn.calls
    assert served.engine.constraints[-1].kind is ConstraintKind.REGEX


async def test_a_tools_schema_that_cannot_be_enforced_is_left_free(serve: Serve) -> None:
    parameters = {"type": "object", "properties": {"x": {"multipleOf": 3}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    served = serve(wants(f"</think>{write_call('f', '{}')}"))
    turn = await get_both(served, tools=[ADD, tool], response_format=FORMAT)
    assert turn.calls == [("f", "{}")]
    text = json.dumps(get_structure(served))
    assert "multipleOf" not in text
    assert '"required": ["a"]' in text


class Particular(ScriptedEngine):
    """Cannot enforce arguments with a schema."""

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        await super().check_constraint(constraint)
        is_union = constraint.kind is ConstraintKind.STRUCTURE
        if is_union and '"integer"' in constraint.text:
            raise ConstraintError(constraint.field, "is too complex")


async def test_tools_that_the_engine_cannot_enforce_are_left_free(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}"))
    served.engine.__class__ = Particular
    turn = await get_turn(served, tools=[ADD], response_format=FORMAT)
    assert turn.finish_reason == "tool_calls"
    assert "integer" not in json.dumps(get_structure(served))
    answer = {"type": "object", "properties": {"n": {"type": "integer"}}}
    refused = await served.chat(tools=[ADD], structured_outputs={"json": answer})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "structured_outputs.json"


async def test_no_thought_ends_with_a_call_that_the_grammar_would_not_see(serve: Serve) -> None:
    opener = "the"  # one token of the small tokenizer, in place of a family's own
    profile = make_profile(tool_call_token_ids=ids(opener))
    served = serve(wants(f"hm{opener}"), profile)
    fields: dict[str, Any] = {"max_tokens": 40, "max_thinking_tokens": 20, "tools": [ADD]}
    reply = await served.chat(temperature=0, response_format=FORMAT, **fields)
    assert reply.json()["choices"][0]["thinking"]["stop"] == "eos"
    request = served.engine.last_request
    assert request is not None
    assert not request.plan.calls_end_thoughts
    # In the answer, the grammar decides.
    assert not request.sampling.logit_bias
    await served.chat(temperature=0, **fields)
    assert served.engine.last_request is not None
    assert served.engine.last_request.plan.calls_end_thoughts


FUNCTION = {"type": "function", "name": "add", "parameters": ADD["function"]["parameters"]}


async def test_responses_and_messages_may_call_or_answer(serve: Serve) -> None:
    for text, kind in ((CALL, "call"), ('{"answer": "23"}', "text")):
        served = serve(wants(f"</think>{text}"))
        body = {
            "model": "scripted",
            "input": "hi",
            "temperature": 0,
            "tools": [FUNCTION],
            "text": {"format": {"type": "json_schema", "name": "out", "schema": SCHEMA}},
        }
        response = (await served.http.post("/v1/responses", json=body)).json()
        assert response["output"][-1]["type"] == {"call": "function_call", "text": "message"}[kind]
        get_structure(served)
        body = {
            "model": "scripted",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 600,
            "temperature": 0,
            "tools": [{"name": "add", "input_schema": ADD["function"]["parameters"]}],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        }
        message = (await served.http.post("/v1/messages", json=body)).json()
        assert message["content"][-1]["type"] == {"call": "tool_use", "text": "text"}[kind]
        get_structure(served)
