"""Every law that a measured reply is checked against can be broken, and then is noticed."""

from typing import Any

import pytest

from benchmarks.gpu.laws import LawError, check_outputs, check_reply
from benchmarks.streams import Reply
from thinking.markers.profile import MarkerProfile, Opening
from thinking.plan import ThinkingRules, make_plan
from thinking.tracker_state import TrackerTables

START, END, STOP, STAND_IN, EXIT, WORD = 3, 4, 2, 1, 5, 9
PROFILE = MarkerProfile("bench", (START,), (END,), Opening.FORCED, (STOP,), STAND_IN, EXIT)
TABLES = TrackerTables(PROFILE, frozenset())
PLAN = make_plan(PROFILE, 6, ThinkingRules(loop_guard=None))
RIGHT = [START, WORD, WORD, WORD, WORD, END, WORD, WORD]


def test_a_right_output_passes() -> None:
    check_outputs(TABLES, PLAN, [RIGHT, RIGHT[:3]])


@pytest.mark.parametrize(
    "output",
    [
        [WORD, *RIGHT[1:]],  # the opening was not forced
        [START, *[WORD] * 7],  # the end was not
        [START, *[WORD] * 5, END],  # it came one token late
    ],
)
def test_an_output_that_the_tracker_contradicts_is_noticed(output: list[int]) -> None:
    with pytest.raises(LawError):
        check_outputs(TABLES, PLAN, [RIGHT, output])


def make_reply(**changes: Any) -> Reply:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    receipts = [{"used": 8, "budget": 8}]
    reply = Reply(0.1, usage=usage, receipts=receipts, finish_reasons=["length"])
    for name, value in changes.items():
        if name in ("usage", "receipt"):
            target = reply.usage if name == "usage" else reply.receipts[0]
            target.update(value)
        else:
            setattr(reply, name, value)
    return reply


def check(reply: Reply, *, is_shown: bool = False) -> None:
    check_reply(reply, budget=8, max_tokens=20, is_shown=is_shown)


def test_a_right_reply_passes() -> None:
    check(make_reply())
    check(make_reply(has_reasoning_text=True), is_shown=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": {"completion_tokens_details": {"reasoning_tokens": 9}}},
        {"usage": {"completion_tokens": 21, "total_tokens": 31}},
        {"usage": {"completion_tokens": 8, "total_tokens": 18}},  # no answer
        {"usage": {"total_tokens": 31}},
        {"receipt": {"used": 7}},
        {"receipt": {"budget": 9}},
        {"receipts": []},
        {"receipts": [{"used": 8, "budget": 8}] * 2},
        {"finish_reasons": []},
        {"has_reasoning_text": True},
    ],
)
def test_a_broken_law_is_noticed(changes: dict[str, Any]) -> None:
    with pytest.raises(LawError):
        check(make_reply(**changes))
