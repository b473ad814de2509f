"""A thought that goes on in a later reply is the thought that was never cut."""

from dataclasses import replace

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.thinking.generators import (
    EXIT_ID,
    STAND_IN_ID,
    TOKEN_BYTES,
    VOCAB_SIZE,
    loop_guards,
    plans,
    tables,
    text_ids,
    token_ids,
    token_streams,
)
from tests.thinking.sampler.states import expected, state_of
from thinking.earlier_thought import KeptThought
from thinking.keeping_tracker import KeepingTracker
from thinking.loop_guard import LoopGuard
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingRules, make_plan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

NUMPY = NumpyArrays()
LOOPING = 10  # in no marker


def advance(tracker: ThinkingTracker, token_id: int) -> tuple[int, TokenKind]:
    """Feed what the sampler would let pass: `token_id`, unless another token is forced."""
    forced = tracker.forced_token_id
    taken = token_id if forced is None else forced
    return taken, tracker.advance(taken)


def find_thinking_places(tracker: ThinkingTracker, stream: list[int]) -> list[int]:
    """Return the numbers of tokens after which the thought runs."""
    places = []
    for place, token_id in enumerate(stream, 1):
        advance(tracker, token_id)
        if tracker.is_thinking:
            places.append(place)
    return places


@st.composite
def rules(draw: st.DrawFn) -> ThinkingRules:
    """Rules of an opening thought. A minimum clears the loop guard, so only one of the two."""
    guard = draw(st.none() | loop_guards)
    least = 0 if guard else draw(st.integers(0, 30))
    return ThinkingRules(
        grace_tokens=draw(st.integers(0, 10)),
        min_tokens=least,
        early_exit=draw(st.none() | st.floats(0, 1)),
        loop_guard=guard,
        wrap_up_token_ids=draw(text_ids),
        continuation_token_ids=draw(text_ids),
    )


@given(st.data())
def test_it_goes_on_as_if_it_had_never_been_cut(data: st.DataObject) -> None:
    shared, wish = data.draw(tables()), data.draw(rules())
    budget = data.draw(st.integers(40, 90))
    whole_plan = make_plan(shared.profile, budget, wish)
    stream = data.draw(st.lists(token_ids, min_size=20, max_size=120))
    places = find_thinking_places(ThinkingTracker(shared, whole_plan), stream)
    assume(places)
    place = data.draw(st.sampled_from(places))
    uncut = KeepingTracker(shared, whole_plan)
    for token_id in stream[:place]:
        advance(uncut, token_id)
    kept = uncut.cut_thought
    assert kept is not None
    num_earlier = uncut.num_hidden
    assert len(kept.token_ids) == num_earlier
    rest = replace(wish, min_tokens=max(0, wish.min_tokens - num_earlier), continues=True)
    plan = replace(
        make_plan(shared.profile, budget - num_earlier, rest),
        earlier_token_ids=kept.get_end(wish.loop_guard) or (STAND_IN_ID,),
    )
    later = ThinkingTracker(shared, plan)
    for token_id in stream[place:]:
        assert advance(later, token_id) == advance(uncut, token_id)
        assert later.num_hidden == uncut.num_hidden - num_earlier
        assert later.num_answer == uncut.num_answer
        assert later.state.phase is uncut.state.phase
        assert later.state.at_boundary == uncut.state.at_boundary
        assert later.forced_token_id == uncut.forced_token_id
    assert later.stop_cause is uncut.stop_cause


@given(st.data())
def test_only_what_the_model_wrote_before_its_cut_is_kept(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker, plain = KeepingTracker(shared, plan), ThinkingTracker(shared, plan)
    is_open = plan.opens and plan.initial_phase is not Phase.CLOSING
    expected_ids: list[int] = []
    stop = StopCause.NONE
    for token_id in data.draw(token_streams):
        taken, kind = advance(plain, token_id)
        assert tracker.advance(taken) is kind
        closes = plain.state.phase in (Phase.CLOSING, Phase.ANSWER)
        if is_open and not (closes and kind in (TokenKind.SIGNAL, TokenKind.ANSWER)):
            expected_ids.append(taken)
        if is_open and closes:
            is_open, stop = False, plain.stop_cause
    kept = tracker.cut_thought
    is_opening = is_open and plain.state.phase is Phase.OPENING
    if not plan.opens or is_opening or stop in (StopCause.NATURAL, StopCause.EOS):
        assert kept is None
        return
    assert kept is not None
    assert kept.token_ids[: len(expected_ids)] == tuple(expected_ids)
    # A continuation that was being forced is completed.
    rest = kept.token_ids[len(expected_ids) :]
    assert not rest or (is_open and plain.state.phase is Phase.CONTINUING)
    assert kept.token_ids[: kept.num_opening] == plan.script[: kept.num_opening]
    if stop is StopCause.CONFIDENT:
        assert kept.token_ids[-1:] != (EXIT_ID,)


@given(st.data())
def test_the_worker_goes_on_from_the_same_state(data: st.DataObject) -> None:
    shared, wish = data.draw(tables()), data.draw(rules())
    earlier = tuple(data.draw(token_streams)) or (STAND_IN_ID,)
    plan = make_plan(shared.profile, data.draw(st.integers(0, 40)), replace(wish, continues=True))
    sent = type(plan).from_dict(replace(plan, earlier_token_ids=earlier).to_dict())
    tracker = ThinkingTracker(shared, sent)
    automaton = ThinkingAutomaton(
        AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, torch.device("cpu")
    )
    automaton.load(0, sent, [])
    automaton.flush()
    assert state_of(automaton, 0) == expected(tracker)
    assert tracker.state.answer_begins is not plan.opens
    assert tracker.num_hidden == 0


@given(tables())
def test_a_loop_that_ended_the_thought_does_not_end_it_again_at_once(shared: TrackerTables) -> None:
    guard = LoopGuard(max_period=1, min_repeats=4, min_tokens=4)
    wish = ThinkingRules(loop_guard=guard, continues=True)
    looped = (LOOPING,) * 4
    plan = replace(make_plan(shared.profile, 60, wish), earlier_token_ids=looped)
    tracker = ThinkingTracker(shared, plan)
    for _ in range(3):
        tracker.advance(LOOPING)
        assert tracker.is_thinking
    tracker.advance(LOOPING)
    assert tracker.stop_cause is StopCause.LOOP


@given(st.lists(st.integers(3, 6), max_size=9), st.lists(st.integers(3, 6), min_size=1, max_size=5))
def test_a_marker_that_has_begun_is_found(thought: list[int], end: list[int]) -> None:
    number = KeptThought(tuple(thought)).count_marker_tokens_begun(end)
    assert number < len(end)
    assert thought[len(thought) - number :] == end[:number]
    for longer in range(number + 1, min(len(end), len(thought) + 1)):
        assert thought[-longer:] != end[:longer]


@given(tables(), st.integers(1, 3))
def test_a_marker_that_has_begun_before_the_cut_ends_the_thought_after_it(
    drawn: TrackerTables, number: int
) -> None:
    end = (3, 4, 5, 6)
    profile = replace(drawn.profile, end_token_ids=end)
    shared = TrackerTables(profile, drawn.boundary_token_ids)
    wish = ThinkingRules(loop_guard=None, continues=True)
    plan = replace(make_plan(profile, 60, wish), earlier_token_ids=end[:number])
    tracker = ThinkingTracker(shared, plan)
    for token_id in end[number:]:
        assert tracker.is_thinking
        tracker.advance(token_id)
    assert tracker.stop_cause is StopCause.NATURAL
