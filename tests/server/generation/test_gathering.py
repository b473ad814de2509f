"""Hidden tokens are gathered on their way; budgets, counts and answers are those of single ones."""

from dataclasses import replace
from itertools import chain

import pytest

from server.engine.gathering import TokenGatherer
from server.engine.protocol import EngineRequest, SamplingSettings
from tests.server.conftest import Serve, wants
from thinking.plan import ThinkingPlan

LENGTH = 400  # tokens of the thought
THOUGHT = "a" * LENGTH


@pytest.mark.parametrize("is_hidden", [True, False])
async def test_hidden_tokens_wake_the_reader_seldom_and_shown_ones_each(
    serve: Serve, is_hidden: bool
) -> None:
    engine = serve(wants(THOUGHT)).engine
    gatherer = TokenGatherer(engine.profile.end_token_ids[-1])
    sampling = SamplingSettings(max_tokens=LENGTH, temperature=0)
    request = EngineRequest("r", [1], sampling, ThinkingPlan(), gatherer=gatherer)
    outputs = []
    async for output in engine.generate(request):
        outputs.append(list(output.token_ids))
        gatherer.let_wait(is_hidden)
    alone = replace(request, request_id="s", gatherer=None)
    single = [list(output.token_ids) async for output in engine.generate(alone)]
    assert [*chain(*outputs)] == [*chain(*single)]
    assert len(single) == LENGTH
    assert len(outputs) < LENGTH / 2 if is_hidden else len(outputs) == LENGTH


async def test_a_gathered_thought_is_the_thought_of_single_tokens(serve: Serve) -> None:
    """Shown thoughts are never gathered: the same request, shown and hidden."""
    served = serve(wants(f"{THOUGHT}</think>42"), show_thoughts=True)
    shown, hidden = [
        (
            await served.chat(max_thinking_tokens=300, include_reasoning=is_shown, temperature=0)
        ).json()
        for is_shown in (True, False)
    ]
    assert shown["choices"][0]["message"].pop("reasoning")
    for reply in (shown, hidden):
        reply["choices"][0]["message"].pop("reasoning_content", None)
        reply["choices"][0]["thinking"].pop("seconds")
    assert shown["choices"] == hidden["choices"]
    assert shown["usage"] == hidden["usage"]
