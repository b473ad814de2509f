"""The client of the serving benchmark, against streams of our app over the scripted engine."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.gpu.laws import LawError
from benchmarks.serving.sides import OURS, Plan, check, list_sides, make_bodies
from benchmarks.streams import ChatError, Reply, read_reply
from tests.server.conftest import MODEL, Serve, serve

__all__ = ["serve"]  # a fixture
PLAN = Plan("thinker", max_tokens=48, budget=20)
EVENTS = [
    b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n',
    b'data: {"choices": [{"delta": {"reasoning": "hm"}}]}\n\n',
    b": a comment\n\n",
    'data: {"choices": [{"delta": {"content": "né"}}]}\n\n'.encode(),
    b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    b'data: {"choices": [], "usage": {"completion_tokens": 7}}\n\n',
    b"data: [DONE]\n\n",
]


@given(st.lists(st.integers(0, sum(map(len, EVENTS))), max_size=12))
def test_a_stream_reads_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    stream = b"".join(EVENTS)
    places = sorted({0, *cuts, len(stream)})
    parts = [stream[a:b] for a, b in pairwise(places)]
    reply = read_reply([(float(place), part) for place, part in enumerate(parts)])
    assert reply.num_tokens == 7
    assert reply.has_reasoning_text
    assert reply.finish_reasons == ["stop"]
    assert reply.first_byte == 0
    assert len(reply.texts) == len(set(reply.texts)) in (1, 2)
    assert reply.first_answer == reply.texts[-1]
    assert all(gap > 0 for gap in reply.gaps)


@pytest.mark.parametrize("events", [EVENTS[:4], [b'data: {"error": {"message": "x"}}\n\n']])
def test_a_stream_that_breaks_off_is_an_error(events: list[bytes]) -> None:
    with pytest.raises(ChatError):
        read_reply([(0.0, b"".join(events))])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(temperature=st.sampled_from(PLAN.temperatures), seed=st.integers(0, 99))
async def test_every_side_of_ours_keeps_the_laws_it_is_checked_against(
    serve: Serve, temperature: float, seed: int
) -> None:
    served = serve(show_thoughts=True)
    for side in list_sides(PLAN):
        if side.server != OURS:
            continue
        (body,) = make_bodies(PLAN, side, 1, temperature, seed)
        response = await served.http.post(
            "/v1/chat/completions", json={**body, "model": MODEL, "max_tokens": 48}
        )
        assert response.status_code == 200, response.text
        reply = read_reply([(0.1, response.content)])
        check(PLAN, side, reply)
        with pytest.raises(LawError):
            check(Plan("thinker", max_tokens=1, budget=20), side, reply)


def test_all_sides_of_a_round_are_asked_the_same() -> None:
    questions = {
        tuple(
            body["messages"][0]["content"].removesuffix(side.ending)
            for body in make_bodies(PLAN, side, 8, 0.0, 3)
        )
        for side in list_sides(PLAN)
    }
    assert len(questions) == 1
    assert len(set(questions.pop())) == 8


def test_a_reply_without_text_has_no_gaps() -> None:
    assert Reply(first_byte=0.0).gaps == []
