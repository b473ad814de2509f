"""The fused kernels are the tracker, and allow what the CPU's sampler allows, drafts or not."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.thinking.generators import TOKEN_BYTES, VOCAB_SIZE, plans, tables, token_ids
from tests.thinking.sampler.fused.engine import CPU, FusedEngine
from tests.thinking.sampler.states import expected, state_of
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

MAX_DRAFTS = 3
NOT_A_TOKEN = -1
# Placeholders too: the runner fills up a short draft with them.
drafts = st.lists(token_ids | st.just(NOT_A_TOKEN), max_size=MAX_DRAFTS)


def constrain_on_cpu(
    shared: TrackerTables, plan: ThinkingPlan, stream: list[int], logits: torch.Tensor
) -> torch.Tensor:
    """Return the row of logits (``[vocab]``) for the token after `stream`."""
    numpy_tables = AutomatonTables(shared, VOCAB_SIZE, NumpyArrays(), TOKEN_BYTES)
    sampler = ThinkingSampler(numpy_tables, 1, CPU)
    sampler.update({0: SamplerRow(plan, stream)})
    return sampler.apply(logits[None].clone())[0]


@settings(max_examples=examples(40))
@given(st.data())
def test_accepted_tokens_alone_change_the_state(data: st.DataObject) -> None:
    """Any tokens are accepted, after any drafts; the state is that of the accepted ones."""
    shared = data.draw(tables())
    all_plans = data.draw(st.lists(plans(shared.profile), min_size=1, max_size=2))
    engine = FusedEngine(shared, len(all_plans), MAX_DRAFTS)
    trackers = [ThinkingTracker(shared, plan) for plan in all_plans]
    for slot, plan in enumerate(all_plans):
        engine.add(slot, plan)
    for _ in range(data.draw(st.integers(1, 8))):
        for slot, tracker in enumerate(trackers):
            accepted = data.draw(st.lists(token_ids, max_size=MAX_DRAFTS + 3))
            engine.accept(slot, accepted)
            for token in accepted:
                tracker.advance(token)
        engine.constrain({slot: data.draw(drafts) for slot in range(len(all_plans))})
        for slot, tracker in enumerate(trackers):
            assert state_of(engine.automaton, slot) == expected(tracker)


@given(st.data())
def test_each_row_allows_what_follows_its_drafts(data: st.DataObject) -> None:
    """The row after a draft is that of a request whose reply ends with this draft.

    Mixing apart, which depends on the logits of earlier steps: see ``test_speculation``.
    """
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile).filter(lambda p: not p.segments or not p.segments.mixes))
    stream = data.draw(st.lists(token_ids, max_size=40))
    draft = data.draw(st.lists(token_ids, max_size=MAX_DRAFTS))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    tracker = ThinkingTracker(shared, plan)
    for token in stream:
        tracker.advance(token)
    while (forced := tracker.forced_token_id) is not None and rng.random() < 0.9:
        stream.append(forced)
        tracker.advance(forced)
    values = [[rng.uniform(-3, 3) for _ in range(VOCAB_SIZE)] for _ in range(len(draft) + 1)]
    logits = torch.tensor(values)
    engine = FusedEngine(shared, 2, MAX_DRAFTS)
    engine.add(0, None)
    engine.add(1, plan, stream)
    free = torch.zeros(1, VOCAB_SIZE)
    rows = engine.constrain({0: [], 1: draft}, torch.cat((free, logits)))
    assert rows[0].eq(0).all()
    for place, row in enumerate(rows[1]):
        same = constrain_on_cpu(shared, plan, stream + draft[:place], logits[place])
        torch.testing.assert_close(row, same)
