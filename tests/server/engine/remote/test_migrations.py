"""A request whose engines are lost writes what one writes whose engine lives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.engine.protocol import EngineOutput
from tests.examples import examples
from tests.server.engine.remote.conftest import (
    FrontEnd,
    StartFrontEnd,
    make_request,
    read,
    tokens_of,
)
from tests.server.engine.remote.faults import Fault, FaultKind
from thinking.gate import GateMode, SegmentRules
from thinking.plan import ThinkingRules

ONE_FRONT_END = settings(
    max_examples=examples(160), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DEATHS = st.one_of(
    st.builds(
        Fault,
        st.sampled_from(
            [FaultKind.HANG_UP, FaultKind.RESET, FaultKind.NO_FINISH, FaultKind.NO_USAGE]
        ),
        st.integers(0, 60),
    ),
    st.builds(Fault, st.just(FaultKind.NO_HEADERS)),
    st.builds(Fault, st.just(FaultKind.STATUS), status=st.sampled_from([302, 408, 429, 502, 503])),
    # The engine says itself that it failed: twice at one token is the end, by another law.
    st.builds(Fault, st.sampled_from([FaultKind.ABORT, FaultKind.ERROR_FRAME]), st.integers(1, 60)),
)
RULES = st.builds(
    ThinkingRules,
    grace_tokens=st.integers(0, 6),
    min_tokens=st.integers(0, 10),
    loop_guard=st.none(),
    wrap_up_token_ids=st.sampled_from([(), (50, 51)]),
    segments=st.sampled_from(
        [None, SegmentRules(GateMode.EVERY, interval=5, segment_tokens=9, max_segments=3)]
    ),
)
REQUESTS = st.fixed_dictionaries(
    {
        "budget": st.integers(0, 40),
        "max_tokens": st.integers(10, 80),
        "rules": RULES,
        "num_logprobs": st.sampled_from([None, 0, 3]),
        "ignore_eos": st.booleans(),
        "min_tokens": st.integers(0, 10),
    }
)


def summarize(outputs: Sequence[EngineOutput]) -> dict[str, Any]:
    """Return all that a reader of a request sees, but for the sizes of the pieces."""
    return {
        "tokens": tokens_of(outputs),
        "logprobs": [place for output in outputs for place in output.logprobs or ()],
        "finish": [output.finish_reason for output in outputs[-1:]],
        "early finish": [output.finish_reason for output in outputs[:-1] if output.finish_reason],
    }


@ONE_FRONT_END
@given(REQUESTS, st.lists(DEATHS, max_size=3), st.integers(1, 5), st.sampled_from([0, 1, 7]))
@example({"budget": 8}, [Fault(FaultKind.HANG_UP, 0)] * 3, 1, 0)
@example({"budget": 8, "max_tokens": 20}, [Fault(FaultKind.RESET, 19)], 3, 1)
async def test_any_deaths_leave_the_tokens_as_they_are(
    start: StartFrontEnd,
    fields: dict[str, Any],
    deaths: Sequence[Fault],
    tokens_per_frame: int,
    cut: int,
) -> None:
    front = await shared_front_end(start)
    for engine in front.engines:
        engine.tokens_per_frame, engine.cut = tokens_per_frame, cut
    front.order()
    request = make_request(**fields)
    undisturbed = await read(front.engine, request)
    before = front.num_faults
    front.order(*deaths)
    disturbed = await read(front.engine, request)
    assert summarize(disturbed) == summarize(undisturbed)
    told = sum(output.num_migrations for output in disturbed)
    num_late = sum(death.kind is FaultKind.NO_USAGE for death in deaths)
    assert 0 <= front.num_faults - before - told <= num_late
    await front.check_nothing_left()


async def shared_front_end(start: StartFrontEnd) -> FrontEnd:
    """Return the front end of all examples."""
    if not hasattr(start, "front"):
        start.front = await start(2)  # type: ignore[attr-defined]
    front: FrontEnd = start.front  # type: ignore[attr-defined]
    return front


async def test_what_goes_on_is_told_what_was_written(start: StartFrontEnd) -> None:
    front = await start(2)
    request = make_request(budget=12, max_tokens=30, min_tokens=9)
    front.order(Fault(FaultKind.NO_FINISH, 7), Fault(FaultKind.NO_FINISH, 4))
    tokens = tokens_of(await read(front.engine, request))
    sent = sorted(
        (one for engine in front.engines for one in engine.requests),
        key=lambda one: one.request_id,
    )
    assert [one.request_id for one in sent] == ["r", "r~1", "r~2"]
    for one, num_written in zip(sent, (0, 7, 11), strict=True):
        params = one.sampling_params
        assert one.token_ids == [*request.prompt_token_ids, *tokens[:num_written]]
        assert params.extra_args["thinking"]["prior_token_ids"] == tokens[:num_written]
        assert params.max_tokens == 30 - num_written
        assert params.min_tokens == max(0, 9 - num_written)


async def test_a_death_between_the_last_token_and_the_usage_is_none(start: StartFrontEnd) -> None:
    front = await start(1)
    front.order(Fault(FaultKind.NO_USAGE))
    outputs = await read(front.engine, make_request())
    assert outputs[-1].finish_reason is not None
    assert outputs[-1].num_cached_tokens is None
    assert sum(output.num_migrations for output in outputs) == 0
    assert front.num_requests == 1


async def test_prompt_logprobs_survive_a_death(start: StartFrontEnd) -> None:
    front = await start(2)
    plain = make_request(budget=0, max_tokens=1, num_logprobs=2)
    request = replace(plain, num_prompt_logprobs=2)
    (undisturbed,) = await read(front.engine, request)
    front.order(Fault(FaultKind.NO_HEADERS), Fault(FaultKind.STATUS, status=500))
    (disturbed,) = await read(front.engine, request)
    assert disturbed.num_migrations == 2
    assert disturbed.prompt_logprobs == undisturbed.prompt_logprobs
    assert disturbed.token_ids == undisturbed.token_ids
