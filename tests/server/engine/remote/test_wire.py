"""Whatever an engine sends, and however it is cut: tokens are right, or the engine is lost."""

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.engine.remote.errors import EngineFailedError, EngineLostError, LossCause, WireError
from server.engine.remote.wire import (
    MAX_EVENT_BYTES,
    EventSplitter,
    Frame,
    decode_frame,
    decode_output,
    decode_whole,
)
from tests.server.engine.remote.conftest import StartFrontEnd, make_request, read, tokens_of
from tests.server.engine.remote.faults import Fault, FaultKind

VOCAB_SIZE = 500
NUMBERS = st.one_of(
    st.integers(-5, 600), st.none(), st.integers(), st.floats(), st.text(max_size=3)
)
CANDIDATES = st.fixed_dictionaries(
    {}, optional={"token_id": NUMBERS, "logprob": NUMBERS, "rank": NUMBERS}
)
PLACES = st.builds(
    lambda place, top: {**place, "top_logprobs": top}, CANDIDATES, st.lists(CANDIDATES, max_size=3)
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "token_ids": st.one_of(st.none(), st.lists(NUMBERS, max_size=4)),
        "finish_reason": st.sampled_from([None, "stop", "length", "abort", "tool_calls", 7]),
        "logprobs": st.one_of(
            st.none(), st.builds(lambda c: {"content": c}, st.lists(PLACES, max_size=4))
        ),
    },
)
USAGES = st.builds(lambda n: {"prompt_tokens_details": {"cached_tokens": n}}, NUMBERS)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(CHOICES, max_size=3),
        "usage": st.one_of(st.none(), USAGES, NUMBERS),
        "error": st.one_of(st.none(), st.text(max_size=4)),
        "prompt_logprobs": st.lists(
            st.one_of(st.none(), st.dictionaries(st.sampled_from("0 1 x -3".split()), CANDIDATES)),
            max_size=4,
        ),
    },
)
FRAMES = st.builds(
    lambda ids: b"data: " + json.dumps({"choices": [{"token_ids": ids}]}).encode(),
    st.lists(st.integers(0, 499), max_size=5),
)
EVENTS = st.one_of(FRAMES, st.sampled_from([b": keep-alive", b"", b"data: [DONE]", b"event: x"]))


def split(pieces: Sequence[bytes]) -> list[Frame]:
    """Return the frames of a stream that comes in `pieces`."""
    splitter = EventSplitter()
    return [frame for piece in pieces for frame in splitter.push(piece)]


@given(st.lists(EVENTS, max_size=8), st.lists(st.integers(0, 300), max_size=12))
@example([b'data: {"choices": []}'] * 3, list(range(80)))
def test_frames_do_not_depend_on_how_the_bytes_are_cut(
    events: Sequence[bytes], cuts: Sequence[int]
) -> None:
    stream = b"".join(event + b"\n\n" for event in events)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[begin:end] for begin, end in pairwise(places)]
    frames = split(pieces)
    assert frames == split([stream])
    assert len(frames) == sum(event.startswith(b"data: {") for event in events)


@pytest.mark.parametrize("size", [2**14, 2**20])
def test_an_event_without_an_end_is_given_up(size: int) -> None:
    splitter, piece = EventSplitter(), b"x" * size
    for _ in range(MAX_EVENT_BYTES // size):
        assert list(splitter.push(piece)) == []
    with pytest.raises(WireError, match="no end"):
        list(splitter.push(piece))


@given(st.binary(max_size=60))
@example(b'{"error": ' + b"[" * 100_000)
@example(b'{"choices": [{"token_ids": [1e400]}]}')
def test_bytes_that_are_no_answer_are_a_wire_error(data: bytes) -> None:
    with suppress(WireError, EngineFailedError):
        decode_frame(data)


@given(ANSWERS, st.sampled_from([None, 0, 2]), st.sampled_from([None, 1]))
def test_an_answer_is_right_or_an_error(
    answer: dict[str, Any], num_logprobs: int | None, num_prompt: int | None
) -> None:
    """What passes can be decoded to text, and has a log-probability for each token."""
    request = make_request(budget=0, num_logprobs=num_logprobs)
    request = type(request)(
        request.request_id, [0, 1], request.sampling, request.plan, num_prompt_logprobs=num_prompt
    )
    for decode in (decode_output, decode_whole):
        try:
            output = decode(decode_frame(json.dumps(answer).encode()), request, VOCAB_SIZE)
        except EngineLostError:
            continue
        if output is None:
            continue
        assert all(0 <= token_id < VOCAB_SIZE for token_id in output.token_ids)
        assert (output.logprobs is None) == (num_logprobs is None)
        if output.logprobs is not None:
            sampled = [place.sampled.token_id for place in output.logprobs]
            assert sampled == list(output.token_ids)
            tops = [top.token_id for place in output.logprobs for top in place.top]
            assert all(0 <= token_id < VOCAB_SIZE for token_id in tops)
        assert (output.prompt_logprobs is None) == (num_prompt is None)


WRONG = [
    FaultKind.GARBAGE,
    FaultKind.ENDLESS_EVENT,
    FaultKind.FOREIGN_ID,
    FaultKind.TWO_CHOICES,
    FaultKind.NO_LOGPROBS,
    FaultKind.OTHER_LOGPROBS,
    FaultKind.FOREIGN_LOGPROBS,
    FaultKind.TOO_MANY_TOKENS,
    FaultKind.EARLY_STOP,
]


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("after", [0, 5, 30])
async def test_a_wrong_frame_ends_the_engine_and_not_the_reply(
    start: StartFrontEnd, kind: FaultKind, after: int
) -> None:
    front = await start(2)
    request = make_request(num_logprobs=2)
    undisturbed = await read(front.engine, request)
    front.order(Fault(kind, after))
    outputs = await read(front.engine, request)
    assert tokens_of(outputs) == tokens_of(undisturbed)
    assert sum(output.num_migrations for output in outputs) == 1
    assert front.engine._fleet.num_lost == {LossCause.PROTOCOL: 1}
    await front.check_nothing_left()


LIES = [
    {"completion_tokens": 10**6, "prompt_tokens": 0},
    {"completion_tokens": 0, "cached_tokens": 10**6},
    {"cached_tokens": 4},
]


@pytest.mark.parametrize("lies", LIES)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_lying_usage_changes_no_count(
    start: StartFrontEnd, lies: dict[str, int], streams: bool
) -> None:
    front = await start(1)
    fields: dict[str, Any] = {"max_thinking_tokens": 20, "max_completion_tokens": 40}
    honest = (await front.chat(**fields)).json()["usage"]
    front.engines[0].lies = lies
    if streams:
        *_, last, _ = await front.stream(stream_options={"include_usage": True}, **fields)
        usage = json.loads(last)["usage"]
    else:
        usage = (await front.chat(**fields)).json()["usage"]
    cached = usage["prompt_tokens_details"].pop("cached_tokens")
    honest["prompt_tokens_details"].pop("cached_tokens")
    assert usage == honest
    assert 0 <= cached <= usage["prompt_tokens"]


async def test_a_negative_number_of_cached_tokens_is_none(start: StartFrontEnd) -> None:
    front = await start(1)
    front.engines[0].lies = {"cached_tokens": -7}
    assert (await read(front.engine, make_request()))[-1].num_cached_tokens == 0


async def test_an_engine_that_tells_no_cached_tokens_is_right(start: StartFrontEnd) -> None:
    front = await start(1)
    front.engines[0].tells_cached = False
    outputs = await read(front.engine, make_request())
    assert outputs[-1].num_cached_tokens is None
    assert len(front.engines[0].client_ports) == 1
