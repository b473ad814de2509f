"""A reply that is written in two requests is the one that is written in one."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import RandomLogits
from tests.server.conftest import TOKENIZER, VOCAB_SIZE, ids
from thinking.gate import GateMode, SegmentRules
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan

LENGTH = 90
PROMPT = ids("How many?")


@pytest_asyncio.fixture
async def engine(profile: MarkerProfile) -> AsyncIterator[ScriptedEngine]:
    made = ScriptedEngine(RandomLogits(VOCAB_SIZE), TOKENIZER, profile)
    yield made
    await made.close()


async def written(
    engine: ScriptedEngine, plan: ThinkingPlan, stop_token_ids: tuple[int, ...] = ()
) -> list[int]:
    """Greedy, so that nothing but the state decides."""
    request = EngineRequest(
        request_id="r",
        prompt_token_ids=(*PROMPT, *plan.prior_token_ids),
        sampling=SamplingSettings(LENGTH - len(plan.prior_token_ids), temperature=0.0),
        plan=plan,
        stop_token_ids=stop_token_ids,
    )
    tokens = list(plan.prior_token_ids)
    async for output in engine.generate(request):
        tokens += output.token_ids
    return tokens


@pytest.mark.parametrize("budget", [0, 24, 60])
async def test_a_reply_goes_on_as_it_would_have(
    engine: ScriptedEngine, profile: MarkerProfile, budget: int
) -> None:
    gate = SegmentRules(GateMode.EVERY, interval=5, segment_tokens=24)
    rules = ThinkingRules(grace_tokens=6, segments=gate, max_tokens=LENGTH)
    plan = make_plan(profile, budget, rules)
    whole = await written(engine, plan)
    for cut in range(0, len(whole), 7):
        prior = tuple(whole[:cut])
        assert await written(engine, replace(plan, prior_token_ids=prior)) == whole


async def test_a_stop_token_of_a_request_ends_it_inside_a_thought(
    engine: ScriptedEngine, profile: MarkerProfile
) -> None:
    plan = make_plan(profile, 60)
    whole = await written(engine, plan)
    place = plan.close_at + 3
    assert await written(engine, plan, (whole[place],)) == whole[: whole.index(whole[place]) + 1]
