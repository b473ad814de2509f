"""Laws of a choice, on any token stream."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.thinking.generators import (
    EXIT_ID,
    ORDINARY_IDS,
    STAND_IN_ID,
    STOP_IDS,
    plans,
    tables,
    token_streams,
)
from thinking.loop_guard import LoopGuard
from thinking.markers.profile import MarkerProfile, Opening
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan, ThinkingRules, count_marker_tokens, make_plan
from thinking.segments import Segmenter
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

PROFILE = MarkerProfile(
    name="test",
    start_token_ids=(10, 11),
    end_token_ids=(12, 13, 14),
    opening=Opening.FORCED,
    stop_token_ids=STOP_IDS,
    eos_stand_in_id=STAND_IN_ID,
    exit_stand_in_id=EXIT_ID,
    lead_in_token_ids=(15,),
)
FULL_STOP = 20
WRAP_UP = ThinkingRules(wrap_up_token_ids=(21, 22))
TABLES = TrackerTables(PROFILE, frozenset({FULL_STOP}))


def run(tracker: ThinkingTracker, wanted: list[int]) -> list[tuple[int, TokenKind]]:
    """Feed `wanted` until the answer begins, replaced by forced tokens where there are any."""
    taken = []
    for token in wanted:
        if tracker.state.phase is Phase.ANSWER:
            break
        forced = tracker.forced_token_id
        token = token if forced is None else forced
        taken.append((token, tracker.advance(token)))
    return taken


@given(st.data())
def test_budget_is_never_exceeded(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker = ThinkingTracker(shared, plan)
    for token in data.draw(token_streams):
        tracker.advance(token)
        assert tracker.num_hidden <= plan.budget


@given(st.data(), st.integers(0, 120))
def test_prior_tokens_of_a_plan_count_as_tokens_of_the_reply(data: st.DataObject, cut: int) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    stream = data.draw(token_streams)
    prior = tuple(stream[:cut])
    whole = ThinkingTracker(shared, plan)
    kinds = [whole.advance(token) for token in stream]
    # As it arrives in a request's `extra_args`.
    sent = ThinkingPlan.from_dict(replace(plan, prior_token_ids=prior).to_dict())
    resumed = ThinkingTracker(shared, sent)
    assert [resumed.advance(token) for token in stream[cut:]] == kinds[cut:]
    assert resumed.state == whole.state
    assert (resumed.num_injected, resumed.num_segments) == (whole.num_injected, whole.num_segments)
    assert resumed.stop_cause is whole.stop_cause


@given(st.data())
def test_a_thought_that_the_model_never_ends_is_closed_with_the_whole_marker(
    data: st.DataObject,
) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker = ThinkingTracker(shared, plan)
    stream = data.draw(st.lists(st.sampled_from(ORDINARY_IDS), min_size=70, max_size=70))
    taken = [token for token, _ in run(tracker, stream)]
    assert tracker.state.phase is Phase.ANSWER
    if plan.opens:
        end = shared.profile.end_token_ids
        lead_in = plan.script[plan.lead_at : plan.close_end]
        assert tuple(taken[-len(end + lead_in) :]) == end + lead_in


@given(st.data())
def test_every_token_is_answer_or_counted_as_hidden(data: st.DataObject) -> None:
    shared = data.draw(tables())
    tracker = ThinkingTracker(shared, data.draw(plans(shared.profile)))
    stream = data.draw(token_streams)
    kinds = [tracker.advance(token) for token in stream]
    assert tracker.num_hidden + tracker.num_answer == len(stream)
    assert tracker.num_answer == kinds.count(TokenKind.ANSWER)


@given(st.data())
def test_no_marker_token_is_ever_released(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker = ThinkingTracker(shared, plan)
    segmenter = Segmenter(tracker, keep_thought=True)
    released: list[int] = []
    stream = data.draw(token_streams)
    hidden: list[int] = []
    for token in stream:
        forced = tracker.forced_token_id
        token = token if forced is None else forced
        if tracker.is_hidden:
            hidden.append(token)
        released.extend(segmenter.push([token]).thought)
    end = shared.profile.end_token_ids
    primer = shared.profile.primer_token_ids
    # The thought is the text between the markers. So an end marker can be released only if
    # it is part of the injected primer or wrap-up.
    closed_naturally = tracker.stop_cause is StopCause.NATURAL
    if closed_naturally and not primer:
        assert not _contains(released, end)
    assert len(released) <= len(hidden)


def _contains(tokens: list[int], sequence: tuple[int, ...]) -> bool:
    length = len(sequence)
    return any(tuple(tokens[i : i + length]) == sequence for i in range(len(tokens)))


def test_a_natural_end_is_followed_by_the_lead_in_only() -> None:
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 40))
    taken = run(tracker, [0, 0, 5, 6, 12, 13, 14, 0])
    assert [token for token, _ in taken] == [10, 11, 5, 6, 12, 13, 14, 15]
    assert tracker.stop_cause is StopCause.NATURAL
    assert tracker.num_hidden == 8
    assert tracker.num_injected == 3


def test_end_of_sequence_closes_the_thought() -> None:
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 40))
    taken = run(tracker, [0, 0, 5, STAND_IN_ID, 0, 0, 0, 0])
    assert [token for token, _ in taken] == [10, 11, 5, STAND_IN_ID, 12, 13, 14, 15]
    assert tracker.stop_cause is StopCause.EOS
    assert tracker.state.answer_begins


def test_a_sentence_that_ends_in_the_grace_closes_the_thought() -> None:
    plan = make_plan(PROFILE, 20, ThinkingRules(grace_tokens=6))
    tracker = ThinkingTracker(TABLES, plan)
    run(tracker, [0, 0, FULL_STOP, 5, 5, 5, 5, 5, FULL_STOP, 5, 5, FULL_STOP] + [0] * 9)
    assert tracker.stop_cause is StopCause.GRACE
    assert 20 - 6 <= tracker.num_hidden < 20


def test_without_a_boundary_the_thought_uses_the_budget_to_the_last_token() -> None:
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 20, ThinkingRules(grace_tokens=6)))
    run(tracker, [5] * 40)
    assert tracker.stop_cause is StopCause.BUDGET
    assert tracker.num_hidden == 20


def test_a_marker_that_the_model_has_begun_is_completed_not_repeated() -> None:
    plan = make_plan(PROFILE, 9, WRAP_UP)
    tracker = ThinkingTracker(TABLES, plan)
    taken = [token for token, _ in run(tracker, [0, 0, 12] + [0] * 9)]
    assert taken == [10, 11, 12, 13, 14, 15]
    segmenter = Segmenter(ThinkingTracker(TABLES, plan), keep_thought=True)
    assert segmenter.push(taken).thought == []


def test_wrap_up_is_paid_from_the_budget_and_shown_with_the_thought() -> None:
    plan = make_plan(PROFILE, 12, WRAP_UP)
    tracker = ThinkingTracker(TABLES, plan)
    taken = [token for token, _ in run(tracker, [5] * 20)]
    assert taken == [10, 11, 5, 5, 5, 5, 21, 22, 12, 13, 14, 15]
    segmenter = Segmenter(ThinkingTracker(TABLES, plan), keep_thought=True)
    assert segmenter.push(taken).thought == [5, 5, 5, 5, 21, 22]


def test_a_budget_too_small_for_the_markers_behaves_as_zero() -> None:
    for budget in range(count_marker_tokens(PROFILE)):
        plan = make_plan(PROFILE, budget)
        assert not plan.thinks
        assert ThinkingTracker(TABLES, plan).state.phase is Phase.ANSWER


def test_the_lead_in_gives_way_to_a_thought_in_a_small_budget() -> None:
    plan = make_plan(PROFILE, count_marker_tokens(PROFILE) + 1)
    assert plan.lead_at == plan.close_end


def test_a_thought_opened_in_the_prompt_is_hidden_from_the_first_token() -> None:
    opened = MarkerProfile(
        name="opened",
        start_token_ids=(10,),
        end_token_ids=(12,),
        opening=Opening.PROMPT,
        stop_token_ids=STOP_IDS,
        eos_stand_in_id=STAND_IN_ID,
        exit_stand_in_id=EXIT_ID,
    )
    tracker = ThinkingTracker(TrackerTables(opened, frozenset()), make_plan(opened, 5))
    taken = run(tracker, [6, 7, 8, 9, 9, 9])
    assert [token for token, _ in taken] == [6, 7, 8, 9, 12]
    assert tracker.num_hidden == 5


def test_an_end_that_comes_too_soon_is_replaced_by_the_continuation() -> None:
    rules = ThinkingRules(min_tokens=12, continuation_token_ids=(21, 22))
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 40, rules))
    taken = run(tracker, [0, 0, 5, STAND_IN_ID, 0, 0, 6, STAND_IN_ID] + [0] * 30)
    assert [token for token, _ in taken[:8]] == [10, 11, 5, STAND_IN_ID, 21, 22, 6, STAND_IN_ID]
    assert [kind for _, kind in taken[4:6]] == [TokenKind.INJECTED] * 2
    assert tracker.num_hidden >= 12


@given(st.data())
def test_a_thought_is_never_shorter_than_its_minimum(data: st.DataObject) -> None:
    """Holds whatever the model samples of what the sampler allows (no whole end marker)."""
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker = ThinkingTracker(shared, plan)
    wanted = data.draw(st.lists(st.sampled_from((STAND_IN_ID, *range(8, 20))), min_size=200))
    run(tracker, wanted)
    if plan.opens and tracker.state.phase is Phase.ANSWER:
        assert tracker.num_hidden >= plan.min_tokens


def test_a_loop_is_broken_and_the_answer_still_comes() -> None:
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 1000))
    cycle = [5, 6, 7] * 100
    taken = run(tracker, [0, 0, *cycle])
    assert tracker.stop_cause is StopCause.LOOP
    assert tracker.state.phase is Phase.ANSWER
    assert tracker.num_hidden == len(taken) == 2 + 64 + 4


def test_text_that_merely_resembles_itself_is_not_a_loop() -> None:
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 1000))
    counted = [token for number in range(3, 10) for token in (5, 6, number) * 3]
    run(tracker, [0, 0, *counted])
    assert tracker.state.phase is Phase.THINKING


def test_a_loop_before_the_minimum_is_broken_by_the_continuation() -> None:
    rules = ThinkingRules(
        min_tokens=30, continuation_token_ids=(21,), loop_guard=LoopGuard(4, 2, 4)
    )
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 100, rules))
    taken = [token for token, _ in run(tracker, [0, 0, 5, 5, 5, 5] + [6] * 10)]
    assert taken[6] == 21
    assert tracker.state.phase in (Phase.THINKING, Phase.CONTINUING)


def test_a_confident_model_may_end_its_thought_early() -> None:
    rules = ThinkingRules(early_exit=0.5)
    tracker = ThinkingTracker(TABLES, make_plan(PROFILE, 40, rules))
    taken = [token for token, _ in run(tracker, [0, 0, 5, FULL_STOP, EXIT_ID] + [0] * 9)]
    assert taken == [10, 11, 5, FULL_STOP, EXIT_ID, 12, 13, 14, 15]
    assert tracker.stop_cause is StopCause.CONFIDENT
