"""Tool calls seen from the wire: the real parsers, the real sampler, a scripted model."""

import json
from typing import Any

import pytest

from server.constraint.answer_constraint import ConstraintKind
from tests.server.conftest import TOKENIZER, Serve, ids, make_profile, wants
from tests.server.tools.conftest import (
    ADD,
    LOOK_UP,
    NAMED_ADD,
    Turn,
    get_both,
    get_turn,
    stream_turn,
    write_call,
    write_call_list,
)

CALL = write_call("add", '{"a": 1, "b": 22}')
ARGUMENTS = '{"a": 1, "b": 22}'


async def test_a_call_is_read_and_the_thought_is_not(serve: Serve) -> None:
    thought = write_call("add", '{"a": 99}')  # only considered
    served = serve(wants(f"{thought}</think>{CALL}"))
    turn = await get_both(served, tools=[ADD, LOOK_UP])
    assert turn == Turn(None, [("add", ARGUMENTS)], "tool_calls")


async def test_content_before_a_call_is_content_and_space_around_it_is_none(serve: Serve) -> None:
    served = serve(wants(f"</think>\n\nI add.\n{CALL}\n"))
    turn = await get_both(served, tools=[ADD])
    assert turn.content is not None
    assert turn.content.strip() == "I add."
    assert turn.calls == [("add", ARGUMENTS)]
    bare = serve(wants(f"</think>\n\n{CALL}\n"))
    assert (await get_both(bare, tools=[ADD])).content is None


async def test_several_calls_unless_one_is_wanted(serve: Serve) -> None:
    second = write_call("look-up", "{}")
    served = serve(wants(f"</think>{CALL}\n{second}"))
    turn = await get_both(served, tools=[ADD, LOOK_UP])
    assert turn.calls == [("add", ARGUMENTS), ("look-up", "{}")]
    num_before = served.engine.num_generated
    one = await get_turn(served, tools=[ADD, LOOK_UP], parallel_tool_calls=False)
    assert one == Turn(None, [("add", ARGUMENTS)], "tool_calls")
    # The reply ended where the second call began: nothing was written for nobody.
    assert served.engine.num_generated - num_before < len(ids(f"<think></think>{CALL}\n{second}"))
    assert served.engine.num_running == 0
    assert await stream_turn(served, tools=[ADD, LOOK_UP], parallel_tool_calls=False) == one


@pytest.mark.parametrize("text", ["4", "<tool_call>\nnonsense\n</tool_call>", "<tool_call>", "<to"])
async def test_what_is_no_call_is_text(serve: Serve, text: str) -> None:
    served = serve(wants(f"</think>{text}"))
    assert await get_both(served, tools=[ADD]) == Turn(text, [], "stop")


async def test_a_call_cut_by_length_is_sent_as_far_as_it_came(serve: Serve) -> None:
    served = serve(wants(CALL))
    room = len(ids(CALL[: CALL.index("22")]))
    turn = await get_both(served, tools=[ADD], max_thinking_tokens=0, max_tokens=room)
    assert turn.finish_reason == "length"
    assert turn.calls == [("add", '{"a": 1, "b":')]


async def test_without_tools_and_with_none_a_call_is_text(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}"))
    assert await get_both(served) == Turn(CALL, [], "stop")
    assert await get_both(served, tools=[ADD], tool_choice="none") == Turn(CALL, [], "stop")


async def test_a_required_call_is_held_to_json(serve: Serve) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("add", {"a": 3, "b": -4}), ("look-up", {})]
    served = serve(wants(f"hm</think>{write_call_list(*calls)}"))
    turn = await get_both(served, tools=[ADD, LOOK_UP], tool_choice="required")
    assert turn == Turn(None, [("add", '{"a": 3, "b": -4}'), ("look-up", "{}")], "tool_calls")
    constraint = served.engine.constraints[-1]
    assert constraint.kind is ConstraintKind.JSON_SCHEMA
    schema = json.loads(constraint.text)
    names = [call["properties"]["name"]["const"] for call in schema["items"]["anyOf"]]
    assert names == ["add", "look-up"]
    assert served.engine.last_request is not None
    assert served.engine.last_request.constraint == constraint


async def test_a_named_call_is_the_whole_answer_and_ends_with_stop(serve: Serve) -> None:
    served = serve(wants('hm</think>{"a": 3}'))
    turn = await get_both(served, tools=[LOOK_UP, ADD], tool_choice=NAMED_ADD)
    assert turn == Turn(None, [("add", '{"a": 3}')], "stop")
    schema = json.loads(served.engine.constraints[-1].text)
    assert schema == ADD["function"]["parameters"]


async def test_one_required_call_has_one_place(serve: Serve) -> None:
    served = serve(wants(f"</think>{write_call_list(('add', {'a': 1}), ('add', {'a': 2}))}"))
    fields: dict[str, Any] = {"tools": [ADD], "tool_choice": "required"}
    assert len((await get_both(served, **fields)).calls) == 2
    assert len((await get_both(served, parallel_tool_calls=False, **fields)).calls) == 1
    assert json.loads(served.engine.constraints[-1].text)["maxItems"] == 1


async def test_allowed_tools_are_those_that_are_offered(serve: Serve) -> None:
    served = serve(wants(f"</think>{write_call_list(('add', {'a': 1}))}"))
    allowed = {"mode": "required", "tools": [NAMED_ADD]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    turn = await get_both(served, tools=[ADD, LOOK_UP], tool_choice=choice)
    assert turn.finish_reason == "tool_calls"
    assert "look-up" not in served.engine.constraints[-1].text


async def test_references_of_a_schema_point_to_where_it_stands(serve: Serve) -> None:
    parameters = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}},
        "$defs": {"place": {"type": "string"}},
    }
    tool = {"type": "function", "function": {"name": "go", "parameters": parameters}}
    served = serve(wants(f"</think>{write_call_list(('go', {'at': 'x'}))}"))
    await get_both(served, tools=[ADD, tool], tool_choice="required")
    schema = json.loads(served.engine.constraints[-1].text)
    (_, go) = schema["items"]["anyOf"]
    assert go["properties"]["parameters"] == {"$ref": "#/$defs/go"}
    assert schema["$defs"]["go"]["properties"]["at"] == {"$ref": "#/$defs/go/$defs/place"}


async def test_an_opener_inside_a_thought_ends_it_and_begins_the_call(serve: Serve) -> None:
    opener = "the"  # one token of the small tokenizer, in place of a family's own
    profile = make_profile(tool_call_token_ids=ids(opener))
    served = serve(wants(f"hm{opener}"), profile)
    fields: dict[str, Any] = {"max_tokens": 20, "tools": [ADD]}
    assert (await get_turn(served, **fields)).content == opener
    # Where no tool may be called it cannot.
    bias = await get_both(served, tool_choice="none", **fields)
    assert opener not in (bias.content or "")


async def test_tokens_add_up_and_calls_are_of_the_answer(serve: Serve) -> None:
    served = serve(wants(f"hm</think>{CALL}"))
    reply = (await served.chat(temperature=0, tools=[ADD], logprobs=True)).json()
    (choice,) = reply["choices"]
    details = reply["usage"]["completion_tokens_details"]
    assert (
        details["reasoning_tokens"] == choice["thinking"]["used"] == len(ids("<think>hm</think>"))
    )
    assert reply["usage"]["completion_tokens"] == details["reasoning_tokens"] + len(ids(CALL)) + 1
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == CALL


async def test_stop_strings_see_calls_and_cut_them(serve: Serve) -> None:
    served = serve(wants(f"22</think>{CALL}"))
    turn = await get_both(served, tools=[ADD], stop="22")
    assert turn.calls == [("add", '{"a": 1, "b":')]


async def test_every_choice_has_its_own_calls(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}"))
    reply = (await served.chat(temperature=0, tools=[ADD], n=3)).json()
    all_calls = [choice["message"]["tool_calls"] for choice in reply["choices"]]
    assert [len(calls) for calls in all_calls] == [1, 1, 1]
    assert len({calls[0]["id"] for calls in all_calls}) == 3


async def test_a_search_calls_tools(serve: Serve) -> None:
    served = serve(wants(f"hm</think>{CALL}"))
    strategy = {"name": "best_of", "n": 2, "answer_tokens": 100}
    fields: dict[str, Any] = {"max_thinking_tokens": 400, "max_tokens": 700}
    fields["thinking_options"] = {"strategy": strategy}
    turn = await get_both(served, tools=[ADD], seed=1, temperature=1, **fields)
    assert turn == Turn(None, [("add", ARGUMENTS)], "tool_calls")


async def test_the_openai_client_reads_calls(serve: Serve) -> None:
    served = serve(wants(f"hm</think>{CALL}"))
    messages: Any = [{"role": "user", "content": "1 + 22?"}]
    tools: Any = [ADD]
    create = served.openai.chat.completions.create
    reply = await create(model="scripted", messages=messages, tools=tools, temperature=0)
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"a": 1, "b": 22}
    async with served.openai.chat.completions.stream(
        model="scripted", messages=messages, tools=tools, temperature=0
    ) as stream:
        final = await stream.get_final_completion()
    (streamed_call,) = final.choices[0].message.tool_calls or []
    assert streamed_call.type == "function"
    assert streamed_call.function.arguments == call.function.arguments
    # The reply goes back as it came, with its result.
    answer = [*messages, reply.choices[0].message.model_dump(exclude_none=True)]
    answer.append({"role": "tool", "tool_call_id": call.id, "content": "23"})
    again = await create(model="scripted", messages=answer, tools=tools, temperature=0)
    assert again.choices[0].finish_reason == "tool_calls"
    assert served.engine.last_request is not None
    prompt = str(TOKENIZER.decode(served.engine.last_request.prompt_token_ids))
    assert "<tool_response>\n23\n</tool_response>" in prompt
    assert CALL in prompt


async def test_streams_keep_a_call_that_a_stop_token_ends(serve: Serve) -> None:
    """A call without its closing tag is complete."""
    served = serve(wants(f"</think>{CALL.removesuffix('</tool_call>')}"))
    assert (await stream_turn(served, tools=[ADD])).calls == [("add", ARGUMENTS)]
