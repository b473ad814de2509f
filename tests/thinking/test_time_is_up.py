"""A thought whose time is up is closed at once, within its budget, on any token stream."""

from dataclasses import replace

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.thinking.generators import TOKEN_BYTES, VOCAB_SIZE, plans, tables, token_streams
from tests.thinking.sampler.states import expected, state_of
from thinking.command import CommandAction, ThoughtCommand
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

NUMPY = NumpyArrays()
TIME_IS_UP = ThoughtCommand(0, CommandAction.END, cause=StopCause.TIME)


def stop_inside_thought(
    data: st.DataObject,
) -> tuple[TrackerTables, ThinkingPlan, ThinkingTracker, list[int], list[int]]:
    """Draw a tracker inside a thought, with the tokens that it has read and those that follow."""
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    stream = data.draw(token_streams)
    places = _find_thinking_places(ThinkingTracker(shared, plan), stream)
    assume(places)
    place = data.draw(st.sampled_from(places))
    tracker = ThinkingTracker(shared, plan)
    for token in stream[:place]:
        tracker.advance(token)
    return shared, plan, tracker, stream[:place], stream[place:]


def _find_thinking_places(tracker: ThinkingTracker, stream: list[int]) -> list[int]:
    """Return the numbers of tokens after which a thought is running."""
    places = [0] if tracker.is_thinking else []
    for place, token in enumerate(stream, 1):
        tracker.advance(token)
        if tracker.is_thinking:
            places.append(place)
    return places


@given(st.data())
def test_it_is_closed_at_once_within_the_budget_and_nothing_more_is_thought(
    data: st.DataObject,
) -> None:
    _, plan, tracker, _, rest = stop_inside_thought(data)
    num_begun = tracker.num_marker_tokens_begun
    tracker.obey(TIME_IS_UP)
    # A marker that the model has begun is completed.
    assert num_begun in (0, tracker.state.cursor - plan.end_at)
    assert tracker.stop_cause is StopCause.TIME
    while (forced := tracker.forced_token_id) is not None:
        assert tracker.advance(forced) in (TokenKind.MARKER, TokenKind.INJECTED)
    assert tracker.num_hidden <= plan.budget
    assert tracker.state.phase is Phase.ANSWER
    num_hidden = tracker.num_hidden
    assert {tracker.advance(token) for token in rest} <= {TokenKind.ANSWER}
    assert tracker.num_hidden == num_hidden
    assert tracker.stop_cause is StopCause.TIME


@given(st.data())
def test_the_resumed_request_has_the_state_of_the_abandoned_one(
    data: st.DataObject,
) -> None:
    shared, plan, tracker, read, rest = stop_inside_thought(data)
    tracker.obey(TIME_IS_UP)
    # As it arrives in a request's `extra_args`.
    command = replace(TIME_IS_UP, after=len(read))
    closing = replace(plan, prior_token_ids=tuple(read), commands=(command,))
    sent = ThinkingPlan.from_dict(closing.to_dict())
    automaton = ThinkingAutomaton(
        AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, torch.device("cpu")
    )
    automaton.load(0, sent, [])
    automaton.flush()
    assert state_of(automaton, 0) == expected(tracker)
    resumed = ThinkingTracker(shared, sent)
    for token in [None, *rest]:
        if token is not None:
            assert tracker.advance(token) is resumed.advance(token)
        assert resumed.state == tracker.state
    assert resumed.stop_cause is tracker.stop_cause
    assert resumed.num_injected == tracker.num_injected
