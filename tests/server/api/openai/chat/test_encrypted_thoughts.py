"""Hidden thoughts that a chat's client keeps sealed, and sends back after a tool call."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.openai.chat.encrypted_thoughts import open_thoughts, seal_thoughts
from server.api.openai.messages import Message
from server.choice.delta import ChoiceDelta
from server.keys.sealed_thoughts import ThoughtSeal
from tests.server.conftest import MARKER_TEXTS, MODEL, TEMPLATE, TOKENIZER, Serve, Served, wants

Json = dict[str, Any]
THOUGHT = "Two and two."
ANSWER = "It is four."
SCRIPT = f"{THOUGHT}</think>{ANSWER}"
ASKED: Json = {"include": ["reasoning.encrypted_content"], "max_thinking_tokens": 60}
USER = {"role": "user", "content": "How many?"}
ADD: Json = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
INSIDE: Json = {
    "gate": {"mode": "every", "tokens": 4, "opening": False},
    "max_segments": 3,
    "segment_tokens": 20,
}
# Shows the thoughts of earlier replies, as the templates of reasoning models do.
SHOWING = TEMPLATE.replace("{{ m.content }}", "[{{ m.reasoning_content }}]{{ m.content }}")


@pytest.fixture
def showing() -> Iterator[None]:
    """A template that shows the thoughts of earlier replies."""
    TOKENIZER.chat_template = SHOWING
    yield
    TOKENIZER.chat_template = TEMPLATE


async def get_message(served: Served, **fields: Any) -> Json:
    response = await served.chat(temperature=0, **fields)
    assert response.status_code == 200, response.text
    assert THOUGHT not in response.text
    message: Json = response.json()["choices"][0]["message"]
    return message


async def get_deltas(served: Served, **fields: Any) -> list[Json]:
    events = await served.events(temperature=0, **fields)
    return [choice["delta"] for event in events for choice in event["choices"]]


def read_prompt(served: Served) -> str:
    assert served.engine.last_request is not None
    return str(TOKENIZER.decode(served.engine.last_request.prompt_token_ids))


async def test_a_message_has_its_thought_sealed_if_the_client_asks(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    message = await get_message(served, **ASKED)
    (detail,) = message["reasoning_details"]
    assert set(detail) == {"type", "data", "id", "format", "index"}
    assert (detail["type"], detail["format"]) == ("reasoning.encrypted", "unknown")
    assert detail["index"] == 0
    assert message["content"] == ANSWER
    assert "reasoning" not in message
    seal = served.services.seal.of("anonymous")
    assert seal.open(detail["data"]) == THOUGHT
    plain = await get_message(served, max_thinking_tokens=60)
    assert {**message, "reasoning_details": None} == {**plain, "reasoning_details": None}
    assert "reasoning_details" not in plain


async def test_it_is_sealed_for_who_may_not_see_it(serve: Serve) -> None:
    served = serve(wants(SCRIPT), show_thoughts=False)
    message = await get_message(served, **ASKED)
    assert len(message["reasoning_details"]) == 1


async def test_streamed_it_comes_before_the_answer_and_nothing_else_changes(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    deltas = await get_deltas(served, **ASKED)
    plain = await get_deltas(served, max_thinking_tokens=60)
    assert not any("reasoning" in delta for delta in deltas)
    with_content = [bool(delta.get("content")) for delta in deltas]
    (place,) = [i for i, delta in enumerate(deltas) if "reasoning_details" in delta]
    assert place <= with_content.index(True)
    (detail,) = deltas[place]["reasoning_details"]
    assert served.services.seal.of("anonymous").open(detail["data"]) == THOUGHT
    texts = ["".join(delta.get("content") or "" for delta in each) for each in (deltas, plain)]
    assert texts == [ANSWER, ANSWER]


async def test_a_shown_thought_is_also_sealed(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    reply = (await served.chat(**ASKED, include_reasoning=True, temperature=0)).json()
    message = reply["choices"][0]["message"]
    assert message["reasoning"] == THOUGHT
    assert len(message["reasoning_details"]) == 1


async def test_each_choice_and_each_thought_inside_an_answer_has_a_detail(serve: Serve) -> None:
    served = serve(wants(3 * "one two three four "))
    fields: Json = {**ASKED, "max_thinking_tokens": 200, "thinking_options": INSIDE, "n": 2}
    shown = (await served.chat(**fields, include_reasoning=True, temperature=0)).json()
    ids = set()
    for choice in shown["choices"]:
        details = choice["message"]["reasoning_details"]
        assert [detail["index"] for detail in details] == list(range(len(details)))
        assert len(details) == choice["thinking"]["segments"] > 1
        ids |= {detail["id"] for detail in details}
        seal = served.services.seal.of("anonymous")
        opened = "".join(seal.open(detail["data"]) for detail in details)
        assert opened == choice["message"]["reasoning"]
    assert len(ids) == sum(len(c["message"]["reasoning_details"]) for c in shown["choices"])


async def test_a_reply_without_a_thought_has_no_details(serve: Serve) -> None:
    message = await get_message(serve(wants(ANSWER)), **{**ASKED, "max_thinking_tokens": 0})
    assert "reasoning_details" not in message


async def test_a_thought_that_is_cut_is_sealed_too(serve: Serve) -> None:
    served = serve(wants("a" * 300))
    fields: Json = {**ASKED, "thinking_options": {"loop_guard": False}}
    message = await get_message(served, **fields, max_completion_tokens=20)
    assert len(message["reasoning_details"]) == 1


@pytest.mark.usefixtures("showing")
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_thought_survives_a_tool_call(serve: Serve, is_streamed: bool) -> None:
    """With OpenAI's own client, which knows nothing of the field, but keeps it."""
    served = serve(wants(f"{THOUGHT}</think>{CALL}"), max_model_len=4096)
    asked: Json = {
        "model": MODEL,
        "messages": [USER],
        "tools": [ADD],
        "temperature": 0,
        "extra_body": ASKED,
    }
    if is_streamed:
        async with served.openai.chat.completions.stream(**asked) as stream:
            final: Any = await stream.get_final_completion()
    else:
        final = await served.openai.chat.completions.create(**asked)
    message = final.choices[0].message
    assert message.tool_calls is not None
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "4"}
    sent = json.loads(json.dumps(message.model_dump(exclude_none=True)))
    response = await served.chat(messages=[USER, sent, result], tools=[ADD], temperature=0)
    assert response.status_code == 200, response.text
    assert "x-ignored-fields" not in response.headers
    assert f"[{THOUGHT}]" in read_prompt(served)
    assert not any(text in response.text for text in (*MARKER_TEXTS, THOUGHT))


@pytest.mark.usefixtures("showing")
@pytest.mark.parametrize(
    "change",
    [
        {"data": "gAAAAAB"},
        {"data": None},
        {"data": 3},
        {"data": ""},
        {"data": "ErUBCkYIBRgCKkA=", "format": "anthropic-claude-v1"},
    ],
)
async def test_what_cannot_be_opened_is_left_out_and_named(serve: Serve, change: Json) -> None:
    served = serve(wants(SCRIPT), max_model_len=2048)
    message = await get_message(served, **ASKED)
    details = [*message["reasoning_details"], message["reasoning_details"][0] | change]
    sent = {**message, "reasoning_details": details}
    response = await served.chat(messages=[USER, sent, USER], max_thinking_tokens=0)
    assert response.status_code == 200, response.text
    assert response.headers["x-ignored-fields"] == "messages[1].reasoning_details[1]"
    assert f"[{THOUGHT}]" in read_prompt(served)


def test_what_was_sealed_for_another_key_is_not_opened() -> None:
    seals = [ThoughtSeal().of(name) for name in ("one", "other")]
    data = seals[0].seal(THOUGHT)
    sent = {"role": "assistant", "reasoning_details": [{"type": "reasoning.encrypted"}]}
    sent["reasoning_details"][0]["data"] = data  # type: ignore[index]
    message = Message.model_validate(sent)
    assert open_thoughts(message, seals[0]).to_prompt()["reasoning_content"] == THOUGHT
    assert "reasoning_content" not in open_thoughts(message, seals[1]).to_prompt()
    assert list(open_thoughts(message, seals[1]).find_unused()) == ["reasoning_details[0]"]


async def test_a_value_that_is_not_known_is_named(serve: Serve) -> None:
    response = await serve(wants(SCRIPT)).chat(include=["file_search_call.results"])
    assert response.status_code == 200
    assert response.headers["x-ignored-fields"] == "include[0]"


@pytest.mark.parametrize("name", ["reasoning.encrypted_contents", "reasoning-encrypted-content"])
async def test_a_misspelt_value_is_refused(serve: Serve, name: str) -> None:
    response = await serve().chat(include=[name])
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "include[0]"
    assert "'reasoning.encrypted_content'" in response.json()["error"]["message"]


pieces = st.tuples(
    st.integers(0, 2), st.sampled_from(["", "th", "\n\nou"]), st.text("ab ", max_size=2)
)


@given(st.lists(pieces, max_size=30), st.booleans())
async def test_details_are_the_thoughts_however_they_arrive(
    parts: list[tuple[int, str, str]], shows: bool
) -> None:
    async def deltas() -> Any:
        for index, thought, content in parts:
            yield ChoiceDelta(index, content=content, reasoning=thought)

    seal = ThoughtSeal()
    found = [delta async for delta in seal_thoughts(deltas(), seal, shows_thought=shows)]
    for index in range(3):
        own = [delta for delta in found if delta.index == index]
        numbers = [thought.index for delta in own for thought in delta.sealed_thoughts]
        assert numbers == list(range(len(numbers)))
        given_in = [(thought, content) for at, thought, content in parts if at == index]
        written = [
            ("".join(seal.open(thought.data) for thought in delta.sealed_thoughts), delta.content)
            for delta in own
        ]
        unended = "".join(to_line(*part) for part in given_in).rpartition("|")[2]
        assert "".join(to_line(*part) for part in [*written, (unended, "")]) == "".join(
            to_line(*part) for part in given_in
        )
        whole = "".join(thought for thought, _ in given_in)
        assert "".join(delta.reasoning for delta in own) == (whole if shows else "")


def to_line(thought: str, content: str) -> str:
    """Return a thought and the content after it, told apart."""
    return f"{thought}|{content}|" if content else thought
