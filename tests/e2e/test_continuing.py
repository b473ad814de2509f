"""A thought that is cut and goes on, on the real engine: the one that was never cut.

In float32 and greedy: in bfloat16, how a prompt is split into steps decides between tokens that
are equally likely.
"""

from random import Random
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server
from thinker.chain import QUESTIONS, make_random_chain

pytestmark = pytest.mark.e2e

CUT, CLOSE = 30, 1
NUM_STEPS = 14  # a thought of some 150 tokens
QUESTION = "".join(QUESTIONS[1](make_random_chain(Random(7), 10, NUM_STEPS)))


async def ask(server: Server, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "thinker",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_completion_tokens": 300,
        "temperature": 0,
        "thinking_options": {"grace": 0},
        "include_reasoning": True,
        "include": ["thinking.sealed"],
        **fields,
    }
    async with httpx.AsyncClient(base_url=server.base_url, timeout=300) as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


async def test_a_thought_that_was_cut_goes_on_as_if_it_had_not_been(
    cramped_server: Server,
) -> None:
    whole = await ask(cramped_server, max_thinking_tokens=250)
    begun = await ask(cramped_server, max_thinking_tokens=CUT)
    (uncut,), (cut,) = whole["choices"], begun["choices"]
    assert uncut["thinking"]["stop"] == "natural"
    assert "sealed" not in uncut["thinking"]
    assert (cut["thinking"]["stop"], cut["thinking"]["used"]) == ("budget", CUT)
    going_on = {"sealed": cut["thinking"]["sealed"], "max_thinking_tokens": 220}
    later = await ask(cramped_server, continue_thinking=going_on)
    (rest,) = later["choices"]
    receipt, usage = rest["thinking"], later["usage"]
    assert receipt["continued"] == CUT - CLOSE
    assert receipt["used"] == uncut["thinking"]["used"] - receipt["continued"]
    assert receipt["stop"] == "natural"
    assert usage["completion_tokens_details"]["reasoning_tokens"] == receipt["used"]
    assert usage["prompt_tokens"] == whole["usage"]["prompt_tokens"] + receipt["continued"]
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0
    parts = cut["message"]["reasoning"] + rest["message"]["reasoning"]
    assert parts == uncut["message"]["reasoning"]
    assert rest["message"]["content"] == uncut["message"]["content"]


async def test_the_grammar_of_an_answer_holds_after_a_thought_that_went_on(
    cramped_server: Server,
) -> None:
    constrained = {"structured_outputs": {"regex": "[0-9]{3}!"}}
    begun = await ask(cramped_server, max_thinking_tokens=CUT, **constrained)
    sealed = begun["choices"][0]["thinking"]["sealed"]
    for budget in (0, 1, 20):
        going_on = {"sealed": sealed, "max_thinking_tokens": budget}
        (choice,) = (await ask(cramped_server, continue_thinking=going_on, **constrained))[
            "choices"
        ]
        assert choice["thinking"]["used"] == budget
        answer = choice["message"]["content"]
        assert len(answer) == 4
        assert answer[:3].isdigit()
        assert answer[3] == "!"
