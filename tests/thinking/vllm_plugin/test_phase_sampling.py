"""Thoughts and answers sampled apart by vLLM's V1 sampler: token for token, and many draws."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from vllm.v1.sample.sampler import Sampler

from tests.examples import examples
from tests.server.conftest import PROFILES, VOCAB_SIZE
from tests.thinking.sampler.reference_sampling import compute_distribution
from tests.thinking.vllm_plugin.runners import (
    Scheduler,
    WorkerConfig,
    tracker_tables,
    worker_config,
)
from tests.thinking.vllm_plugin.test_adapters import any_plan
from tests.thinking.vllm_plugin.v1_sampling import Sampled, SamplingBatch, draw_phase, predict
from thinking.markers.profile import MarkerProfile
from thinking.phase_sampling import GREEDY, PhaseSampling, SamplingByPhase
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.sampler.row_sampling import apply_to_row

pytestmark = [pytest.mark.slow, pytest.mark.hypothesis]  # vLLM takes ten seconds to import
NUM_DRAWS, ROWS_PER_STEP = 10_000, 500
HOT = PhaseSampling(1.6)
PHASES = {
    "greedy": GREEDY,
    "hot": HOT,
    "top-k": PhaseSampling(1.3, top_k=7),
    "top-p": PhaseSampling(0.8, top_p=0.7),
    "min-p": PhaseSampling(1.2, min_p=0.1),
    "all three": PhaseSampling(1.4, top_p=0.9, top_k=30, min_p=0.02),
}


@pytest.fixture(scope="module")
def profile() -> MarkerProfile:
    return PROFILES["special markers"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, profile: MarkerProfile) -> WorkerConfig:
    folder: Path = tmp_path_factory.mktemp("model")
    return worker_config(folder, profile)


TABLES = tracker_tables(PROFILES["special markers"])


def make_request(rng: random.Random, profile: MarkerProfile) -> Sampled:
    """Return a request with any plan and any samplings.

    Without mixing: a row that is added anew, as each one of the reference is in each step, has lost
    the logits that it would mix with (docs/sampler.md).
    """
    plan = any_plan(profile, rng) or ThinkingPlan()
    if plan.segments is not None:
        plan = replace(plan, segments=replace(plan.segments, mix=1.0))
    by_phase = SamplingByPhase(draw_phase(rng), draw_phase(rng))
    return Sampled(
        plan,
        TABLES,
        by_phase if rng.random() < 0.7 else draw_phase(rng),
        seed=rng.randrange(1000),
        frequency_penalty=rng.choice((0.0, 1.5)),
        repetition_penalty=rng.choice((1.0, 1.3)),
    )


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 2**31))
@example(seed=1812)  # a thought inside the answer, closed at once
def test_each_token_is_the_one_that_vllm_samples_with_the_parameters_of_its_phase(
    config: WorkerConfig, profile: MarkerProfile, seed: int
) -> None:
    """The reference replaces vLLM's own parameters of the request before each step.

    Forced tokens come, and no budget is exceeded: the requests themselves check it. Penalties and
    seeds included.
    """
    rng = random.Random(seed)
    requests = [make_request(rng, profile) for _ in range(3)]
    # In a batch of greedy rows alone vLLM draws nothing, and the other rows' seeds stand still.
    requests.append(Sampled(ThinkingPlan(), TABLES, HOT, seed=1))
    references = [replace(request, swaps=True) for request in requests]
    for reference in references:
        reference.output, reference.thinking = [], []
    ours, theirs = SamplingBatch(config), SamplingBatch(config)
    ours.set_rows(requests)
    ours.run(25)
    theirs.set_rows(references)
    theirs.run(25)
    assert [r.output for r in requests] == [r.output for r in references]


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 2**31))
def test_rows_without_it_are_as_if_no_row_had_it(
    config: WorkerConfig, profile: MarkerProfile, seed: int
) -> None:
    """Requests join, leave, and resume in other rows."""
    rng = random.Random(seed)
    plain = [replace(make_request(rng, profile), sampling=draw_phase(rng)) for _ in range(2)]
    alone = [replace(request, output=[], thinking=[]) for request in plain]
    batch, quiet = SamplingBatch(config), SamplingBatch(config)
    quiet.set_rows(alone)
    for _ in range(6):
        others = [make_request(rng, profile) for _ in range(rng.randrange(3))]
        rows = [*plain, *others]
        rng.shuffle(rows)
        batch.set_rows(rows)
        batch.run(3)
        quiet.run(3)
        assert [r.output for r in plain] == [r.output for r in alone]


@pytest.mark.parametrize("thinking", [True, False], ids=["in a thought", "in an answer"])
@pytest.mark.parametrize("name", PHASES)
def test_many_draws_have_the_distribution_computed_from_the_logits(
    config: WorkerConfig, profile: MarkerProfile, name: str, thinking: bool
) -> None:
    """Pearson's chi-squared; the other phase is greedy, or hot where this one is greedy."""
    phase = PHASES[name]
    other = HOT if phase.is_greedy else GREEDY
    sampling = SamplingByPhase(phase, other) if thinking else SamplingByPhase(other, phase)
    request = begin(profile, sampling, thinking=thinking)
    logits = predict(request.output, seed=3) / 2
    # What a thought or an answer may not hold is not what is tested here.
    logits[list({*profile.end_token_ids, *profile.start_token_ids, *profile.stop_token_ids})] -= 99
    logits[profile.eos_stand_in_id] = -99.0
    batch = SamplingBatch(replace(config, scheduler_config=Scheduler(ROWS_PER_STEP)))
    batch.set_rows([request] * ROWS_PER_STEP)
    torch.manual_seed(5)
    steps = range(NUM_DRAWS // ROWS_PER_STEP)
    draws = torch.cat([batch.step(logits.repeat(ROWS_PER_STEP, 1)) for _ in steps])
    check_draws(draws, logits, phase)


def begin(profile: MarkerProfile, sampling: SamplingByPhase, *, thinking: bool) -> Sampled:
    """Return a request in the middle of its thought, or of its answer."""
    plan = make_plan(profile, 60, ThinkingRules(loop_guard=None))
    request = Sampled(plan, TABLES, sampling)
    opening = [*profile.start_token_ids, 40, 41]
    for token_id in opening if thinking else [*opening, *profile.end_token_ids, 42, 43]:
        request.take(token_id)
    assert request.tracker.is_thinking is thinking
    return request


def check_draws(draws: torch.Tensor, logits: torch.Tensor, phase: PhaseSampling) -> None:
    """Check that `draws` may come from the distribution that `phase` makes of `logits`."""
    counts = draws.bincount(minlength=VOCAB_SIZE).double().numpy()
    expected = compute_distribution(logits, phase) * len(draws)
    assert counts[expected == 0].sum() == 0
    if phase.is_greedy:
        assert counts[int(logits.argmax())] == len(draws)
        return
    often = expected >= 5
    rest = (expected > 0) & ~often
    observed = [*counts[often], counts[rest].sum()] if rest.any() else counts[often]
    wanted = [*expected[often], expected[rest].sum()] if rest.any() else expected[often]
    assert chisquare(observed, wanted).pvalue > 1e-4


@given(
    seed=st.integers(0, 2**31),
    values=st.lists(st.integers(-2, 2), min_size=VOCAB_SIZE, max_size=VOCAB_SIZE),
)
def test_of_equally_likely_tokens_a_greedy_phase_takes_vllms(seed: int, values: list[int]) -> None:
    logits = torch.tensor(values, dtype=torch.float32)
    expected = int(Sampler.greedy_sample(logits[None].clone()))
    apply_to_row(logits, GREEDY)
    assert int(logits.argmax()) == expected
    assert logits.softmax(0)[expected] == 1.0
