"""Which branch becomes the reply."""

from typing import Any

import torch

from server.engine.scripted_model import WantedTokens
from tests.server.conftest import STOP_ID, VOCAB_SIZE, Serve, ids
from tests.server.generation.search.conftest import StartScorer

THOUGHT = "hm\n</think>"


class Undecided:
    """Thinks a line, then answers with a digit: 7 half of the time, else one of 1 to 5."""

    vocab_size = VOCAB_SIZE

    def __init__(self) -> None:
        self._head = WantedTokens(VOCAB_SIZE, ids(THOUGHT), STOP_ID)
        self._digits = [ids(digit)[0] for digit in "712345"]

    def compute_logits(self, prompt: Any, output: Any) -> torch.Tensor:
        """A digit after the thought, then the end."""
        marker = ids("</think>")[0]
        if marker not in output:
            return self._head.compute_logits(prompt, output)
        logits = torch.full((VOCAB_SIZE,), -60.0)
        if output[-1] == marker:
            logits[self._digits] = torch.tensor([2.7, 0.9, 0.8, 0.7, 0.6, 0.5])
        else:
            logits[STOP_ID] = 60.0
        return logits


async def answers(served: Any, strategy: dict[str, Any], tries: int = 8) -> list[str]:
    found = []
    for seed in range(tries):
        response = await served.chat(
            max_thinking_tokens=1000,
            thinking_options={"strategy": strategy},
            temperature=1,
            seed=seed,
        )
        assert response.status_code == 200, response.text
        found.append(response.json()["choices"][0]["message"]["content"])
    return found


async def test_the_most_frequent_answer_wins(serve: Serve) -> None:
    served = serve(Undecided())
    few = await answers(served, {"name": "self_consistency", "n": 2}, tries=24)
    many = await answers(served, {"name": "self_consistency", "n": 32})
    assert set(many) == {"7"}
    assert {"7"} < set(few)


async def test_the_most_probable_answer_is_the_best(serve: Serve) -> None:
    served = serve(Undecided())
    assert await answers(served, {"name": "best_of", "n": 12}) == ["7"] * 8


async def test_the_reward_model_chooses_against_the_odds(
    serve: Serve, start_scorer: StartScorer
) -> None:
    scorer = await start_scorer(lambda candidate: float(candidate["answer"] == "3"))
    served = serve(Undecided(), scorer_url=scorer.url, scorer_api="http")
    found = await answers(served, {"name": "reward", "n": 32}, tries=6)
    assert found.count("3") >= 5
    (asked, *_) = scorer.asked
    assert asked["messages"] == [{"role": "user", "content": "How many?"}]
    assert len(asked["candidates"]) == 32
    assert all(candidate["thought"] == "hm\n" for candidate in asked["candidates"])
