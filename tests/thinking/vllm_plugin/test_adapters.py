"""vLLM's two logits-processor interfaces, driven as its runners drive them."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytest.importorskip("vllm")

from tests.server.conftest import PROFILES
from tests.thinking.vllm_plugin.runners import (
    MAX_REQUESTS,
    RunnerV1,
    RunnerV2,
    Running,
    WorkerConfig,
    tracker_tables,
    worker_config,
)
from tests.thinking.vllm_plugin.waiting import no_waiting
from thinking.gate import GateMode, SegmentRules
from thinking.loop_guard import LoopGuard
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan

pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import
Runner = RunnerV1 | RunnerV2
NUM_STEPS = 5_000  # by two runners


@pytest.fixture
def config(tmp_path: Path, profile: MarkerProfile) -> WorkerConfig:
    return worker_config(tmp_path, profile)


def any_plan(profile: MarkerProfile, rng: random.Random) -> ThinkingPlan | None:
    """Return a plan with random options; sometimes None."""
    if rng.random() < 0.2:
        return None
    gates = (
        SegmentRules(GateMode.EVERY, interval=4, segment_tokens=40),
        SegmentRules(GateMode.ENTROPY, threshold=1.0, gap=3, segment_tokens=36, opening=False),
        SegmentRules(GateMode.AFTER, strings=("e", "th"), segment_tokens=40, mix=0.5),
    )
    rules = ThinkingRules(
        grace_tokens=rng.randrange(10),
        min_tokens=rng.choice((0, 0, 15)),
        early_exit=rng.choice((None, 0.001)),
        loop_guard=rng.choice((None, LoopGuard(4, 2, 4))),
        wrap_up_token_ids=rng.choice(((), (70, 71))),
        continuation_token_ids=(80, 81),
        segments=rng.choice((None, *gates)),
        max_tokens=300,
    )
    return make_plan(profile, rng.choice((0, 3, 20, 60, 150)), rules)


def churn(runner: Runner, profile: MarkerProfile, num_steps: int) -> int:
    """Let requests join, leave, be preempted and resume; return the number that joined."""
    rng = random.Random(11)
    tables = tracker_tables(profile)
    running: list[Running] = []
    paused: list[Running] = []
    num_joined = 0
    for _ in range(num_steps):
        leave = {request for request in running if request.is_full or rng.random() < 0.01}
        preempted = {request for request in running if rng.random() < 0.01} - leave
        running = [request for request in running if request not in leave | preempted]
        join: list[Running] = []
        while len(running) + len(join) < MAX_REQUESTS and rng.random() < 0.3:
            if paused and rng.random() < 0.5:
                join.append(paused.pop())
            else:
                join.append(Running(any_plan(profile, rng), tables, random.Random(num_joined)))
                num_joined += 1
        runner.step(leave | preempted, join, rng)
        running += join
        paused += preempted
    return num_joined


@pytest.mark.parametrize("make_runner", [RunnerV1, RunnerV2])
def test_no_row_ever_sees_anothers_state(
    make_runner: Callable[[WorkerConfig], Runner], config: WorkerConfig, profile: MarkerProfile
) -> None:
    """Each row of each step is compared with the tracker of its own request.

    Model Runner V2 must not wait for its device in a step: the runner here fails if it does.
    """
    num_joined = churn(make_runner(config), profile, NUM_STEPS // len(PROFILES))
    assert num_joined > 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_no_row_sees_anothers_state_on_a_gpu(config: WorkerConfig, profile: MarkerProfile) -> None:
    runner = RunnerV2(config, torch.device("cuda"))
    assert churn(runner, profile, NUM_STEPS // len(PROFILES)) > 20


@pytest.mark.parametrize("make_runner", [RunnerV1, RunnerV2])
def test_a_malformed_plan_is_refused_where_it_is_made(
    make_runner: type[Runner], config: WorkerConfig, profile: MarkerProfile
) -> None:
    plan = make_plan(profile, 60).to_dict() | {"budget": 0}
    params = Running(None, tracker_tables(profile), random.Random()).params
    params.extra_args = {"thinking": plan}
    with pytest.raises(ValueError, match="budget"):
        type(make_runner(config).processor).validate_params(params)


@pytest.mark.parametrize("waits", [torch.Tensor.item, torch.Tensor.nonzero, lambda t: t[t > 0]])
def test_waiting_for_the_device_is_noticed(waits: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="waits"), no_waiting(torch.device("cpu")):
        waits(torch.ones(1))
