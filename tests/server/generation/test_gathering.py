"""Hidden tokens are gathered on their way; budgets, counts and answers are those of single ones."""

from dataclasses import replace
from itertools import chain

from server.engine.gathering import Gathering
from server.engine.protocol import EngineRequest, SamplingSettings
from tests.server.conftest import Serve, wants
from thinking.plan import ThinkingPlan

LENGTH = 400  # tokens of the thought
THOUGHT = "a" * LENGTH


async def test_hidden_tokens_wake_the_reader_seldom_and_shown_ones_each(serve: Serve) -> None:
    engine = serve(wants(THOUGHT)).engine
    sampling = SamplingSettings(max_tokens=LENGTH, temperature=0)
    alone = EngineRequest("r", [1], sampling, ThinkingPlan())
    together = replace(alone, request_id="s", gathering=Gathering([engine.profile.end_token_ids]))
    single, gathered = [
        [list(output.token_ids) async for output in engine.generate(request)]
        for request in (alone, together)
    ]
    assert [*chain(*gathered)] == [*chain(*single)]
    assert len(single) == LENGTH
    assert len(gathered) < LENGTH / 2


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
