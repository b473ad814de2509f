"""The sampler inside the real engine, token by token: what it must not change.

The engine is started in this process so that token ids can be compared, with a full stop
as the end marker: a token that the model writes of its own accord.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest
import pytest_asyncio
from vllm import SamplingParams
from vllm.inputs import tokens_input

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.vllm_engine import VllmEngine
from server.hub.model_resolution import resolve_model
from server.settings.settings import ServerSettings
from tests.e2e.process import KV_CACHE_GIB, ONE_THREAD
from thinking.gate import GateMode, SegmentRules
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.phase import StopCause, TokenKind
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
START, END = "Thought: ", "."
PROMPTS = (
    "The history of the city begins",
    "Water is a molecule that",
    "My favourite animals are",
    "Once upon a time there was a",
)
GREEDY = SamplingSettings(max_tokens=60, temperature=0.0)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine() -> AsyncIterator[VllmEngine]:
    settings = ServerSettings(thinking_start=START, thinking_end=END)
    # In bfloat16 a token that is read and the same token generated can differ by a rounding,
    # and a close choice with it.
    model = resolve_model(None).path_or_hub_id
    options = {"model": model, "max_model_len": 512, "dtype": "float32"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB, **ONE_THREAD}.items():
            patch.setenv(name, value)
        running = await VllmEngine.start(options, settings, "model")
    yield running
    await running.close()


async def planned(
    engine: VllmEngine,
    prompt: list[int],
    plan: ThinkingPlan,
    sampling: SamplingSettings = GREEDY,
) -> list[int]:
    """Output under a plan."""
    name = f"planned-{id(plan)}-{id(sampling)}-{len(prompt)}"
    request = EngineRequest(name, prompt, sampling, plan)
    token_ids: list[int] = []
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            token_ids += output.token_ids
    return token_ids


async def plain(engine: VllmEngine, prompt: list[int]) -> list[int]:
    """Output of vLLM itself: the request has no plan."""
    params = SamplingParams(max_tokens=60, temperature=0.0, detokenize=False)
    request_id = f"plain-{id(params)}-{len(prompt)}"
    async for output in engine._llm.generate(tokens_input(prompt), params, request_id):
        token_ids = list(output.outputs[0].token_ids)
    return token_ids


def tracker_of(engine: VllmEngine, plan: ThinkingPlan) -> ThinkingTracker:
    boundaries = find_boundary_token_ids(engine.tokenizer)
    return ThinkingTracker(TrackerTables(engine.profile, boundaries), plan)


@pytest.mark.parametrize("text", PROMPTS)
async def test_greedy_with_a_large_budget_is_as_without_the_sampler(
    engine: VllmEngine, text: str
) -> None:
    profile = engine.profile
    (end,) = profile.end_token_ids
    prompt = engine.tokenizer.encode(text)
    plan = make_plan(profile, 300, ThinkingRules(max_tokens=GREEDY.max_tokens))
    output = await planned(engine, prompt, plan)
    without = await plain(engine, [*prompt, *profile.start_token_ids])
    assert tuple(output[: len(profile.start_token_ids)]) == profile.start_token_ids
    rest = output[len(profile.start_token_ids) :]
    # An answer may not hold the marker: from the second one on, they must differ.
    ends = [place for place, token_id in enumerate(without) if token_id == end]
    until = min([len(rest), *ends[1:2]])
    assert rest[:until] == without[:until]
    assert until > 2


@pytest.mark.parametrize(("threshold", "leaves"), [(1e-9, True), (0.999999, False)])
async def test_a_thought_ends_early_once_the_end_is_probable_enough(
    engine: VllmEngine, threshold: float, leaves: bool
) -> None:
    prompt = engine.tokenizer.encode("A list of three words, one a line:\n")
    plan = make_plan(engine.profile, 40, ThinkingRules(early_exit=threshold))
    tracker = tracker_of(engine, plan)
    for token_id in await planned(engine, prompt, plan):
        tracker.advance(token_id)
    assert (tracker.stop_cause is StopCause.CONFIDENT) is leaves
    assert tracker.num_hidden <= 40


@pytest.mark.parametrize("text", PROMPTS[:2])
async def test_a_thought_of_no_weight_leaves_the_next_token_as_it_was(
    engine: VllmEngine, text: str
) -> None:
    prompt = engine.tokenizer.encode(text)
    rules = SegmentRules(GateMode.EVERY, interval=5, segment_tokens=16, opening=False, mix=0.0)
    thinking = ThinkingRules(segments=replace(rules, max_segments=1), max_tokens=GREEDY.max_tokens)
    plan = make_plan(engine.profile, 100, thinking)
    tracker = tracker_of(engine, plan)
    output = await planned(engine, prompt, plan)
    kinds = [tracker.advance(token_id) for token_id in output]
    answer = [t for t, kind in zip(output, kinds, strict=True) if kind is TokenKind.ANSWER]
    assert tracker.num_segments == 1
    assert answer[:6] == (await plain(engine, prompt))[:6]


HOT = SamplingSettings(max_tokens=30, temperature=1.3, top_p=0.95, top_k=50, seed=11)


@pytest.mark.parametrize("text", PROMPTS[:2])
async def test_a_hot_thought_is_the_seeds_and_the_answer_after_it_greedy(
    engine: VllmEngine, text: str
) -> None:
    prompt = engine.tokenizer.encode(text)
    plan = make_plan(engine.profile, 16, ThinkingRules(loop_guard=None))
    apart = replace(HOT, temperature=0.0, thought=HOT.of_answer)
    output = await planned(engine, prompt, plan, apart)
    num_hidden = count_hidden(engine, plan, output)
    thought, answer = output[:num_hidden], output[num_hidden:]
    assert thought == (await planned(engine, prompt, plan, HOT))[:num_hidden]
    (end,) = engine.profile.end_token_ids
    continued = await plain(engine, [*prompt, *thought])
    # An answer may not hold the marker.
    until = min([len(answer), *(place for place, token in enumerate(continued) if token == end)])
    assert answer[:until] == continued[:until]
    assert until > 0


@pytest.mark.parametrize("text", PROMPTS[:2])
async def test_a_greedy_thought_is_the_same_under_every_seed_of_its_answer(
    engine: VllmEngine, text: str
) -> None:
    prompt = engine.tokenizer.encode(text)
    plan = make_plan(engine.profile, 16, ThinkingRules(loop_guard=None))
    greedy = await planned(engine, prompt, plan, replace(HOT, temperature=0.0))
    num_hidden = count_hidden(engine, plan, greedy)
    answers = set()
    for seed in range(3):
        apart = replace(HOT, temperature=1.5, seed=seed, thought=GREEDY.of_answer)
        output = await planned(engine, prompt, plan, apart)
        assert output[:num_hidden] == greedy[:num_hidden]
        answers.add(tuple(output[num_hidden:]))
    assert len(answers) > 1


def count_hidden(engine: VllmEngine, plan: ThinkingPlan, output: list[int]) -> int:
    """Return the number of hidden tokens, all of which come before the answer."""
    tracker = tracker_of(engine, plan)
    for token_id in output:
        tracker.advance(token_id)
    assert 0 < tracker.num_hidden <= plan.budget
    return tracker.num_hidden
