"""Capturing deltas: all are recorded, hidden thoughts are not passed on."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.choice.delta import ChoiceDelta, ChoiceResult
from server.metrics import Metrics
from server.tools.call import ToolCallDelta
from server.traces.capture import ChoiceCapture, TraceHead, captured
from server.traces.recorder import TraceRecorder
from server.traces.redaction import Redactor
from server.traces.sqlite_store import SqliteTraceStore
from server.traces.store import Retention
from server.traces.trace import Thought, TraceQuery
from thinking.receipt import Receipt

HEAD = TraceHead("chatcmpl-1", "m", [], {}, ("<", ">"))
RESULT = ChoiceResult("stop", Receipt(None, "default", 9, None, 5, 0, 1, "natural", 0.1), 5, 3)


def make_deltas(*choices: int) -> list[ChoiceDelta]:
    return [
        delta
        for index in choices
        for delta in (
            ChoiceDelta(index, reasoning="se"),
            ChoiceDelta(index, reasoning="cret", content="an"),
            ChoiceDelta(index, content="swer", result=RESULT),
        )
    ]


async def run(path: Path, deltas: Sequence[ChoiceDelta], *, shows: bool) -> tuple[str, list[Any]]:
    """Return the reasoning that the client saw, and the traces that were recorded."""
    store = SqliteTraceStore(path, Retention())
    recorder = TraceRecorder(store, Redactor([]), Metrics(), 9)

    async def source() -> AsyncGenerator[ChoiceDelta, None]:
        for delta in deltas:
            yield delta

    seen = [delta async for delta in captured(source(), HEAD, recorder, shows_thought=shows)]
    assert not any(delta.is_empty for delta in seen)
    traces = (await recorder.read_page(TraceQuery())).traces
    recorder.close()
    return "".join(delta.reasoning for delta in seen), list(traces)


@pytest.mark.parametrize("shows", [True, False])
async def test_thoughts_are_always_recorded_and_passed_on_only_if_shown(
    path: Path, shows: bool
) -> None:
    seen, (trace,) = await run(path, make_deltas(0, 1), shows=shows)
    assert seen == ("secretsecret" if shows else "")
    assert [choice["answer"] for choice in trace["choices"]] == ["answer", "answer"]
    assert trace["choices"][1]["thoughts"] == [{"text": "secret", "at": 0}]


async def test_a_request_with_an_unfinished_choice_is_not_recorded(path: Path) -> None:
    _, traces = await run(path, make_deltas(0, 1)[:-1], shows=False)
    assert traces == []


def test_thoughts_inside_the_answer_have_their_position() -> None:
    capture = ChoiceCapture(0)
    for reasoning, content in (("a", ""), ("b", "one "), ("\n\nc", ""), ("d", "two")):
        capture.add(ChoiceDelta(0, reasoning=reasoning, content=content))
    assert capture.thoughts == [Thought("ab", 0), Thought("cd", 4)]
    assert capture.answer == "one two"


def test_tool_calls_are_recorded_whole() -> None:
    capture = ChoiceCapture(0)
    for piece in (ToolCallDelta(0, "c", "add"), ToolCallDelta(0, arguments='{"a"')):
        capture.add(ChoiceDelta(0, tool_calls=[piece]))
    capture.add(ChoiceDelta(0, tool_calls=[ToolCallDelta(0, arguments=": 1}")], result=RESULT))
    choice = capture.to_choice()
    assert choice is not None
    call = {"id": "c", "name": "add", "arguments": '{"a": 1}'}
    assert choice.to_dict()["tool_calls"] == [call]
