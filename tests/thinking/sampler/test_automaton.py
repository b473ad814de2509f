"""The automaton over tensors is the tracker, for every row, through any batch churn."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.thinking.generators import (
    EXIT_ID,
    STAND_IN_ID,
    STOP_IDS,
    TOKEN_BYTES,
    VOCAB_SIZE,
    plans,
    tables,
    token_ids,
    token_streams,
)
from tests.thinking.sampler.states import columns_in_order, expected, state_of
from thinking.markers.profile import MarkerProfile, Opening
from thinking.phase import Phase
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.sampler.arrays import ArrayLibrary, NumpyArrays, TorchArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Features
from thinking.sampler.constraints import FORCED
from thinking.sampler.row_state import Field, make_row, read_plan_values, read_state_values
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.sampler.transition import advance
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

CPU = torch.device("cpu")
NUMPY = NumpyArrays()
TORCH = TorchArrays(CPU)
FULL_STOP = 20
EARLY = MarkerProfile("early", (10,), (12,), Opening.FORCED, STOP_IDS, STAND_IN_ID, EXIT_ID)


def allowed_by(logits: torch.Tensor) -> set[int]:
    """Tokens that can be sampled from one row of constrained logits."""
    if logits.max() == FORCED:
        return {int(logits.argmax())}
    return set(logits.isfinite().nonzero().flatten().tolist())


@pytest.mark.parametrize("arrays", [NUMPY, TORCH], ids=["numpy", "torch"])
@given(data=st.data())
def test_automaton_equals_tracker_on_arbitrary_streams(
    arrays: ArrayLibrary, data: st.DataObject
) -> None:
    shared = data.draw(tables())
    all_plans = data.draw(st.lists(plans(shared.profile), min_size=1, max_size=4))
    automaton = ThinkingAutomaton(
        AutomatonTables(shared, VOCAB_SIZE, arrays, TOKEN_BYTES), len(all_plans), CPU
    )
    trackers = [ThinkingTracker(shared, plan) for plan in all_plans]
    for slot, plan in enumerate(all_plans):
        automaton.load(slot, plan, [])
    automaton.flush()
    features = Features.of(all_plans)
    for _ in range(data.draw(st.integers(0, 60))):
        tokens = [data.draw(token_ids) for _ in trackers]
        slots = arrays.put(range(len(trackers)), "int64")
        advance(automaton, slots, arrays.put(tokens, "int32"), features)
        for slot, (tracker, token) in enumerate(zip(trackers, tokens, strict=True)):
            tracker.advance(token)
            assert state_of(automaton, slot) == expected(tracker)


@given(st.data())
def test_replaying_a_resumed_request_gives_the_state_that_it_had(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    stream = data.draw(token_streams)
    automaton = ThinkingAutomaton(AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 2, CPU)
    automaton.load(0, plan, [])
    automaton.flush()
    for token in stream:
        advance(automaton, np.array([0]), np.array([token]), Features.of([plan]))
    automaton.load(1, plan, stream)
    automaton.flush()
    assert state_of(automaton, 0) == state_of(automaton, 1)
    if Features.of([plan]).listening:
        assert bytes(automaton.tails.tails[0]) == bytes(automaton.tails.tails[1])


def constrained(shared: TrackerTables, plan: ThinkingPlan, stream: list[int]) -> torch.Tensor:
    """Logits (zeros before) for the token after `stream`."""
    sampler = ThinkingSampler(AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, CPU)
    sampler.update({0: SamplerRow(plan, stream)})
    return sampler.apply(torch.zeros(1, VOCAB_SIZE))[0]


@given(st.data())
def test_logits_leave_exactly_what_the_tracker_allows(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    stream = data.draw(token_streams)
    tracker = ThinkingTracker(shared, plan)
    for token in stream:
        tracker.advance(token)
    # Often right up to the answer's first token.
    if data.draw(st.booleans()):
        while (forced := tracker.forced_token_id) is not None:
            stream.append(forced)
            tracker.advance(forced)
    allowed = allowed_by(constrained(shared, plan, stream))
    if tracker.forced_token_id is not None:
        assert allowed == {tracker.forced_token_id}
    elif tracker.state.phase is Phase.THINKING:
        banned = set(STOP_IDS)
        if tracker.plan.early_exit is not None:
            banned.add(EXIT_ID)
        last = tracker.state.end_match == len(shared.profile.end_token_ids) - 1
        if last and tracker.num_hidden + 1 < plan.min_tokens:
            banned.add(shared.profile.end_token_ids[-1])
        if tracker.num_hidden < plan.min_tokens or not plan.calls_end_thoughts:
            banned.update(shared.profile.tool_call_token_ids)
        may_exit = tracker.plan.early_exit is not None and tracker.state.at_boundary
        assert allowed == set(range(VOCAB_SIZE)) - banned or (may_exit and allowed == {EXIT_ID})
    else:
        profile = shared.profile
        banned = set(STOP_IDS) if tracker.state.answer_begins else set()
        if tracker.state.start_match == len(profile.start_token_ids) - 1:
            banned.add(profile.start_token_ids[-1])
        if tracker.state.end_match == len(profile.end_token_ids) - 1:
            banned.add(profile.end_token_ids[-1])
        if plan.segments is not None:
            banned.add(profile.segment_signal_id)
        opened = tracker.may_open_segment and allowed == {profile.segment_signal_id}
        assert opened or allowed == set(range(VOCAB_SIZE)) - banned


@given(st.data())
def test_a_thought_takes_over_exactly_the_probability_of_the_stop_tokens(
    data: st.DataObject,
) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tracker = ThinkingTracker(shared, plan)
    stream: list[int] = []
    while tracker.forced_token_id is not None:
        stream.append(tracker.forced_token_id)
        tracker.advance(stream[-1])
    if tracker.state.phase is not Phase.THINKING or plan.early_exit is not None:
        return
    logits = torch.tensor([random.Random(1).uniform(-3, 3) for _ in range(VOCAB_SIZE)])
    logits[STAND_IN_ID] = float("-inf")
    sampler = ThinkingSampler(AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, CPU)
    sampler.update({0: SamplerRow(plan, stream)})
    before = torch.softmax(logits, 0)
    after = torch.softmax(sampler.apply(logits[None].clone())[0], 0)
    end = shared.profile.end_token_ids
    held = end if len(end) == 1 and tracker.num_hidden + 1 < plan.min_tokens else ()
    if tracker.num_hidden < plan.min_tokens or not plan.calls_end_thoughts:
        held = (*held, *shared.profile.tool_call_token_ids)
    assert torch.isclose(after[STAND_IN_ID], before[[*STOP_IDS, *held]].sum())
    rest = [i for i in range(VOCAB_SIZE) if i not in (*STOP_IDS, *held, STAND_IN_ID)]
    assert torch.allclose(after[rest], before[rest])


@given(st.data())
def test_rows_that_move_share_and_leave_never_see_each_others_state(
    data: st.DataObject,
) -> None:
    """Seeded churn with budgeted and plain rows; every step compared with the trackers."""
    shared = data.draw(tables())
    pool = data.draw(st.lists(plans(shared.profile), min_size=1, max_size=5))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    churn(shared, pool, rng, num_steps=60)


@given(st.data())
def test_the_order_of_the_columns_has_no_meaning(data: st.DataObject) -> None:
    shared = data.draw(tables())
    pool = data.draw(st.lists(plans(shared.profile), min_size=1, max_size=5))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    names = [field.name for field in Field]
    rng.shuffle(names)
    with columns_in_order(names):
        churn(shared, pool, rng, num_steps=30)


def test_a_row_has_each_field_exactly_once() -> None:
    plan = make_plan(EARLY, 50)
    state = read_state_values(ThinkingTracker(TrackerTables(EARLY, frozenset()), plan).state)
    kept = {Field.KEPT_ROW: 3}
    row = make_row(state, read_plan_values(plan), kept)
    assert (row[Field.BUDGET], row[Field.KEPT_ROW]) == (50, 3)
    incomplete = {field: value for field, value in state.items() if field is not Field.LIMIT}
    for parts in ((state, read_plan_values(plan)), (incomplete, read_plan_values(plan), kept)):
        with pytest.raises(AssertionError, match="missing"):
            make_row(*parts)
    with pytest.raises(AssertionError, match="repeated"):
        make_row(state, read_plan_values(plan), kept, {Field.LIMIT: 1})


def churn(
    shared: TrackerTables, pool: list[ThinkingPlan], rng: random.Random, num_steps: int
) -> None:
    width = 6
    sampler = ThinkingSampler(AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), width, CPU)
    batch: dict[int, tuple[SamplerRow, ThinkingTracker]] = {}
    for _ in range(num_steps):
        _change_batch(shared, pool, rng, batch, width)
        sampler.update({index: row for index, (row, _) in batch.items()})
        logits = sampler.apply(torch.zeros(width, VOCAB_SIZE))
        for index in range(width):
            if index not in batch:
                assert logits[index].eq(0).all()
                continue
            row, tracker = batch[index]
            assert row.slot is not None
            assert state_of(sampler.automaton, row.slot) == expected(tracker)
            if rng.random() < 0.8:  # else: the sample was discarded
                token = rng.choice(sorted(allowed_by(logits[index])))
                row.output_token_ids.append(token)
                tracker.advance(token)
                assert tracker.num_hidden <= row.plan.budget


def _change_batch(
    shared: TrackerTables,
    pool: list[ThinkingPlan],
    rng: random.Random,
    batch: dict[int, tuple[SamplerRow, ThinkingTracker]],
    width: int,
) -> None:
    action = rng.choice(("add", "add", "remove", "swap", "resume", "none"))
    index = rng.randrange(width)
    if action == "add":
        plan = rng.choice(pool)
        batch[index] = (SamplerRow(plan, []), ThinkingTracker(shared, plan))
    elif action == "remove":
        batch.pop(index, None)
    elif action == "swap":
        other = rng.randrange(width)
        a, b = batch.pop(index, None), batch.pop(other, None)
        batch.update({i: e for i, e in ((other, a), (index, b)) if e is not None})
    elif action == "resume" and index in batch:
        row, tracker = batch[index]
        batch[index] = (SamplerRow(row.plan, list(row.output_token_ids)), tracker)


@pytest.mark.parametrize(("threshold", "leaves"), [(0.6, False), (0.4, True)])
def test_a_thought_ends_early_only_above_the_threshold(threshold: float, leaves: bool) -> None:
    shared = TrackerTables(EARLY, frozenset({FULL_STOP}))
    plan = make_plan(EARLY, 50, ThinkingRules(early_exit=threshold))
    logits = torch.full((1, VOCAB_SIZE), float("-inf"))
    logits[0, 12] = logits[0, 5] = 0.0  # half the probability is the end marker's
    for last, expected_exit in ((5, False), (FULL_STOP, leaves)):
        sampler = ThinkingSampler(AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, CPU)
        sampler.update({0: SamplerRow(plan, [10, 7, last])})
        after = sampler.apply(logits.clone())[0]
        assert (after.argmax().item() == EXIT_ID) == expected_exit
