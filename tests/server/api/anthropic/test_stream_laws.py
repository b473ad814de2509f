"""However a reply is split into deltas, its events are well ordered and build the same message."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from server.api.anthropic.content import ContentWriter, Event, ThoughtDisplay, collect_blocks
from server.api.anthropic.response import MessageHead, MessageWriter, build_message
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.keys.sealed_thoughts import ThoughtSeal
from server.tools.call import ToolCallDelta
from thinking.receipt import Receipt

SEAL = ThoughtSeal()
HEAD = MessageHead("msg_1", "scripted", 7)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
RECEIPT = Receipt(
    requested=9,
    source="thinking.budget_tokens",
    budget=9,
    limited_by=None,
    used=4,
    injected=0,
    segments=1,
    stop="natural",
    seconds=0.0,
)
TEXTS = st.text(min_size=1, max_size=12)
# Each piece of a reply has a kind and a text; the text of a call is its arguments.
PIECES = st.lists(
    st.one_of(
        # A thought may not begin with a line break: that can separate thoughts, as blocks do.
        st.tuples(st.just("thought"), TEXTS.filter(lambda text: text[0] != "\n")),
        st.tuples(st.just("answer"), TEXTS),
        st.tuples(st.just("call"), st.dictionaries(TEXTS, TEXTS, max_size=2).map(json.dumps)),
    ),
    max_size=6,
)
Piece = tuple[str, str]


def make_deltas(pieces: Sequence[Piece], cuts: st.DataObject | None) -> list[ChoiceDelta]:
    """Return the pieces as deltas, each cut in two where `cuts` say."""
    made: list[ChoiceDelta] = []
    num_calls = 0
    for kind, text in pieces:
        parts = [text]
        if cuts is not None and (at := cuts.draw(st.integers(0, len(text)))):
            parts = [text[:at], text[at:]]
        for place, part in enumerate(parts):
            delta = ChoiceDelta(0)
            match kind:
                case "thought":
                    delta.reasoning = part
                case "answer":
                    delta.content = part
                case _ if place == 0:
                    call = ToolCallDelta(num_calls, f"call_{num_calls}", "add", part)
                    delta.tool_calls = [call]
                case _:
                    delta.tool_calls = [ToolCallDelta(num_calls, arguments=part)]
            made.append(delta)
        num_calls += kind == "call"
    finish = "tool_calls" if num_calls else "stop"
    made.append(ChoiceDelta(0, result=ChoiceResult(finish, RECEIPT, 4, 5)))  # type: ignore[arg-type]
    return made


def write_events(
    made: Sequence[ChoiceDelta], display: ThoughtDisplay, *, opens: bool
) -> list[Event]:
    writer = MessageWriter(HEAD, ContentWriter(display, SEAL), opens_with_thought=opens)
    found = list(writer.start())
    for delta in made:
        found += writer.push(delta)
    return found


def check_order(events: Sequence[Event]) -> None:
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    num_blocks, is_open = 0, False
    for event in events[2:-2]:
        assert event["type"].startswith("content_block_")
        if event["type"] == "content_block_start":
            assert not is_open, "one block at a time"
            num_blocks, is_open = num_blocks + 1, True
        assert is_open
        assert event["index"] == num_blocks - 1
        if event["type"] == "content_block_stop":
            is_open = False
    assert not is_open


def accumulate(events: Sequence[Event]) -> dict[str, Any]:
    """Return the message that Anthropic's own client builds from a stream."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            snapshot = accumulate_event(
                event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=buffers
            )
    found: dict[str, Any] = snapshot.model_dump(exclude_none=True)
    return found


def open_thoughts(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without nulls and the receipt, and with sealed thoughts opened."""
    blocks = [dict(block) for block in message["content"]]
    for block in blocks:
        for key in {"signature", "data"} & block.keys():
            block[key] = SEAL.open(block[key])
    kept = {key: value for key, value in message.items() if value is not None}
    kept.pop("thinking", None)
    return kept | {"content": blocks}


@pytest.mark.parametrize("display", ThoughtDisplay)
@given(pieces=PIECES, opens=st.booleans(), cuts=st.data())
def test_a_stream_is_well_ordered_and_makes_the_message(
    display: ThoughtDisplay, pieces: list[Piece], opens: bool, cuts: st.DataObject
) -> None:
    made = make_deltas(pieces, cuts)
    events = write_events(made, display, opens=opens)
    check_order(events)
    result = made[-1].result
    assert result is not None
    whole = open_thoughts(
        build_message(HEAD, write_events(make_deltas(pieces, None), display, opens=opens), result)
    )
    assert open_thoughts(accumulate(events)) == whole
    answer = "".join(text for kind, text in pieces if kind == "answer")
    assert "".join(b["text"] for b in whole["content"] if b["type"] == "text") == answer
    calls = [json.loads(text) for kind, text in pieces if kind == "call"]
    assert [b["input"] for b in whole["content"] if b["type"] == "tool_use"] == calls


@given(pieces=PIECES, opens=st.booleans())
def test_a_thought_that_is_not_shown_is_in_no_event(pieces: list[Piece], opens: bool) -> None:
    secret = [(kind, "§" * 30 if kind == "thought" else text) for kind, text in pieces]
    for display in set(ThoughtDisplay) - {ThoughtDisplay.SHOWN}:
        assert "§§" not in str(write_events(make_deltas(secret, None), display, opens=opens))


@pytest.mark.parametrize(
    ("arguments", "value"),
    [('{"a": 1, "b": [2', {"a": 1, "b": [2]}), ("", {}), ("[1]", {}), ("not JSON", {})],
)
def test_arguments_that_are_no_object_still_make_a_block(arguments: str, value: Any) -> None:
    """`max_tokens` may cut them, and a model may write anything."""
    call = ChoiceDelta(0, tool_calls=[ToolCallDelta(0, "call_7", "add", arguments)])
    made = write_events([call, *make_deltas([], None)], ThoughtDisplay.NONE, opens=False)
    block = {"type": "tool_use", "id": "toolu_7", "name": "add", "input": value}
    assert collect_blocks(made) == [block]
