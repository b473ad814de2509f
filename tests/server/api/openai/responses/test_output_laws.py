"""However a reply is split into deltas, its output is the same and its events are well ordered."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.openai.responses.output import OutputStyle, OutputWriter
from server.api.openai.responses.output_items import ThoughtView
from server.api.openai.responses.reasoning_items import StoredReasoningItem
from server.choice.delta import ChoiceDelta
from server.keys.sealed_thoughts import ThoughtSeal
from server.tools.call import ToolCallDelta
from tests.server.api.openai.responses.folding import Folding, Json, without_ids

SEAL = ThoughtSeal()
VIEWS = {
    "hidden": ThoughtView(),
    "sealed": ThoughtView(seal=SEAL),
    "shown": ThoughtView(shows=True),
    "summarised and sealed": ThoughtView(shows=True, summarises=True, seal=SEAL),
}
words = st.text("ab \n", min_size=1, max_size=3)


@st.composite
def draw_atoms(draw: st.DrawFn, *, thinks_inside: bool) -> list[ChoiceDelta]:
    """Draw the smallest deltas of one reply, in a model's order: thought, answer, calls."""
    pieces = [ChoiceDelta(0, reasoning=text) for text in draw(st.lists(words, max_size=4))]
    inside = st.builds(ChoiceDelta, st.just(0), content=words)
    if thinks_inside:
        inside |= st.builds(ChoiceDelta, st.just(0), reasoning=words)
    pieces += draw(st.lists(inside, max_size=6))
    for index in range(draw(st.integers(0, 2))):
        call = ToolCallDelta(index, f"call_{index}", f"f{index}")
        pieces.append(ChoiceDelta(0, tool_calls=[call]))
        pieces += [
            ChoiceDelta(0, tool_calls=[ToolCallDelta(index, arguments=text)])
            for text in draw(st.lists(words, max_size=3))
        ]
    return pieces


@st.composite
def draw_replies(draw: st.DrawFn, *, thinks_inside: bool) -> tuple[list[ChoiceDelta], list[int]]:
    pieces = draw(draw_atoms(thinks_inside=thinks_inside))
    return pieces, draw(st.lists(st.integers(0, len(pieces)), max_size=len(pieces)))


def join_deltas(pieces: Sequence[ChoiceDelta], cuts: Sequence[int]) -> list[ChoiceDelta]:
    """Return `pieces` joined to deltas that end at `cuts`."""
    places = sorted({0, *cuts, len(pieces)})
    deltas = []
    for begin, end in pairwise(places):
        delta = ChoiceDelta(0)
        for piece in pieces[begin:end]:
            delta.add(piece)
        deltas.append(delta)
    return deltas


def write_output(
    style: OutputStyle, deltas: Sequence[ChoiceDelta]
) -> tuple[OutputWriter, list[Json]]:
    writer = OutputWriter(style)
    events = list(writer.begin())
    for delta in deltas:
        events += writer.push(delta)
    return writer, [*events, *writer.end("completed")]


@pytest.mark.parametrize("thinks_inside", [False, True])
@pytest.mark.parametrize("view", VIEWS)
@given(data=st.data())
def test_however_deltas_are_split_the_events_fold_to_one_output(
    view: str, thinks_inside: bool, data: st.DataObject
) -> None:
    pieces, cuts = data.draw(draw_replies(thinks_inside=thinks_inside))
    style = OutputStyle("0" * 32, VIEWS[view], thinks_inside=thinks_inside)
    whole, _ = write_output(style, join_deltas(pieces, ()))
    writer, events = write_output(style, join_deltas(pieces, cuts))
    folding = Folding()
    for event in events:
        folding.take(event)
    assert folding.output == writer.output
    assert without_ids(writer.output) == without_ids(whole.output)
    assert [item["id"] for item in writer.output] == [item["id"] for item in whole.output]


@pytest.mark.parametrize("view", VIEWS)
@given(data=st.data())
def test_nothing_of_a_reply_is_lost_or_shown_unasked(view: str, data: st.DataObject) -> None:
    pieces, cuts = data.draw(draw_replies(thinks_inside=False))
    writer, events = write_output(OutputStyle("0" * 32, VIEWS[view]), join_deltas(pieces, cuts))
    thought = "".join(piece.reasoning for piece in pieces)
    assert "".join(
        part["text"]
        for item in writer.output
        if item["type"] == "message"
        for part in item["content"]
    ) == "".join(piece.content for piece in pieces)
    stored = [item for item in writer.to_stored_items() if isinstance(item, StoredReasoningItem)]
    assert "".join(item.thought for item in stored) == thought
    reasoning = [item for item in writer.output if item["type"] == "reasoning"]
    assert len(reasoning) == bool(thought)
    for item in reasoning:
        assert ("content" in item) == VIEWS[view].shows
        if VIEWS[view].seal:
            assert SEAL.open(item["encrypted_content"]) == thought
    if not VIEWS[view].shows:
        assert not any("reasoning" in event["type"] for event in events)
