"""Speculative decoding under all laws: a toy model, toy drafts, and vLLM's rule of acceptance."""

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.thinking.generators import EXIT_ID, STAND_IN_ID, TOKEN_BYTES, VOCAB_SIZE, plans, tables
from tests.thinking.sampler.fused.engine import CPU, FusedEngine
from tests.thinking.sampler.states import expected, state_of
from thinking.gate import GateMode
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

MAX_DRAFTS = 6  # enough for a whole segment in one step
NOT_A_TOKEN = -1
LENGTH = 30
Model = Callable[[list[int]], torch.Tensor]


def toy_model(seed: int) -> Model:
    """Return a model whose logits depend on all tokens so far; it likes to end thoughts."""

    def predict(output: list[int]) -> torch.Tensor:
        rng = random.Random(hash((seed, *output)))
        logits = torch.tensor([rng.uniform(-3, 3) for _ in range(VOCAB_SIZE)])
        logits[rng.choice((STAND_IN_ID, EXIT_ID, rng.randrange(VOCAB_SIZE)))] += 2
        return logits

    return predict


def generate_plainly(
    shared: TrackerTables, plan: ThinkingPlan, model: Model, length: int
) -> list[int]:
    """Return the greedy reply of the CPU's sampler, one token a step."""
    numpy_tables = AutomatonTables(shared, VOCAB_SIZE, NumpyArrays(), TOKEN_BYTES)
    sampler = ThinkingSampler(numpy_tables, 1, CPU)
    output: list[int] = []
    sampler.update({0: SamplerRow(plan, output)})
    while len(output) < length:
        output.append(int(sampler.apply(model(output)[None])[0].argmax()))
    return output


def draw_draft(rng: random.Random, future: list[int]) -> list[int]:
    """Return a draft: often what will follow, for a while, then any tokens."""
    length = rng.randint(0, MAX_DRAFTS)
    right = rng.choice((0, rng.randint(0, length), length))
    wrong = [rng.choice((NOT_A_TOKEN, rng.randrange(VOCAB_SIZE))) for _ in range(length)]
    return (future[:right] + wrong)[:length]


def accept_greedily(rows: torch.Tensor, draft: list[int]) -> list[int]:
    """Return the accepted tokens: drafts while they are the most probable, and one more.

    The rule of vLLM's ``_rejection_kernel`` at temperature 0.
    """
    accepted: list[int] = []
    for place, row in enumerate(rows):
        accepted.append(int(row.argmax()))
        if place == len(draft) or draft[place] != accepted[-1]:
            break
    return accepted


def accept_at_random(rows: torch.Tensor, draft: list[int], rng: random.Random) -> list[int]:
    """Return the accepted tokens: a draft with its probability, else another token.

    The rule of vLLM's ``_rejection_kernel`` at temperature 1, without the drafts' own logits
    (Leviathan et al., arXiv 2211.17192, with a draft that is certain of its token).
    """
    accepted: list[int] = []
    for place, row in enumerate(rows):
        probabilities = torch.softmax(row, 0).tolist()
        if place == len(draft):
            return [*accepted, rng.choices(range(VOCAB_SIZE), probabilities)[0]]
        token = draft[place]
        if token == NOT_A_TOKEN or rng.random() >= probabilities[token]:
            if token != NOT_A_TOKEN:
                probabilities[token] = 0.0
            return [*accepted, rng.choices(range(VOCAB_SIZE), probabilities)[0]]
        accepted.append(token)
    return accepted


@settings(max_examples=examples(40))
@given(st.data())
def test_greedy_replies_are_those_without_speculation(data: st.DataObject) -> None:
    """Token for token, whatever is drafted, with gates, mixing, loops, early exit, tool calls."""
    shared = data.draw(tables())
    check_greedy(shared, data.draw(plans(shared.profile)), data.draw(st.integers(0, 2**32)))


@settings(max_examples=examples(80))
@given(st.data())
def test_what_is_kept_for_mixing_outlives_drafts_that_its_segment_rejects(
    data: st.DataObject,
) -> None:
    """The gate opens at once, and again after each draft of the same step, as if it had not."""
    shared = data.draw(tables())
    # No thought before the answer: the first place already opens the gate.
    gated = plans(shared.profile).filter(lambda plan: bool(plan.segments) and not plan.opens)
    plan = data.draw(gated)
    assert plan.segments is not None
    segments = replace(plan.segments, mode=GateMode.ENTROPY, threshold=0.0, mix=0.0)
    check_greedy(shared, replace(plan, segments=segments), data.draw(st.integers(0, 2**32)))


def check_greedy(shared: TrackerTables, plan: ThinkingPlan, seed: int) -> None:
    """Check that a greedy reply with any drafts is the one without."""
    model, rng = toy_model(seed), random.Random(seed)
    plain = generate_plainly(shared, plan, model, LENGTH + MAX_DRAFTS)
    engine = FusedEngine(shared, 1, MAX_DRAFTS)
    output = engine.add(0, plan).output
    while len(output) < LENGTH:
        draft = draw_draft(rng, plain[len(output) :])
        # The rows after a placeholder are never read; the model sees some token there.
        prefixes = [output + draft[:place] for place in range(len(draft) + 1)]
        rows = engine.constrain({0: draft}, torch.stack([model(p) for p in prefixes]))
        engine.accept(0, accept_greedily(rows[0], draft))
    assert output == plain[: len(output)]


@settings(max_examples=examples(20))
@given(st.data())
def test_no_acceptance_makes_a_thought_longer_than_its_budget(data: st.DataObject) -> None:
    """Sampled tokens, two requests a step; the count is exact after each."""
    shared = data.draw(tables())
    seed = data.draw(st.integers(0, 2**32))
    model, rng = toy_model(seed), random.Random(seed)
    both = [data.draw(plans(shared.profile)), data.draw(plans(shared.profile))]
    engine = FusedEngine(shared, 2, MAX_DRAFTS)
    outputs = [engine.add(slot, plan).output for slot, plan in enumerate(both)]
    trackers = [ThinkingTracker(shared, plan) for plan in both]
    for _ in range(6):
        drafts = {slot: draw_draft(rng, _guess(trackers[slot], rng)) for slot in (1, 0)}
        prefixes = [
            outputs[slot] + draft[:n]
            for slot, draft in drafts.items()
            for n in range(len(draft) + 1)
        ]
        rows = engine.constrain(drafts, torch.stack([model(prefix) for prefix in prefixes]))
        for slot, draft in drafts.items():
            assert state_of(engine.automaton, slot) == expected(trackers[slot])
            accepted = accept_at_random(rows[slot], draft, rng)
            engine.accept(slot, accepted)
            for token in accepted:
                forced = trackers[slot].forced_token_id
                assert forced in (None, token)
                trackers[slot].advance(token)
                assert trackers[slot].num_hidden <= both[slot].budget


def _guess(tracker: ThinkingTracker, rng: random.Random) -> list[int]:
    """Return what a good draft might hold: the forced tokens that are due, then any."""
    rest: tuple[int, ...] = ()
    if tracker.forced_token_id is not None:
        rest = tracker.plan.script[tracker.state.cursor :]
    return [*rest[:MAX_DRAFTS], *(rng.randrange(VOCAB_SIZE) for _ in range(MAX_DRAFTS))]
