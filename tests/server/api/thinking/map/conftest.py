"""A model whose distributions are known with and without a thought, and maps of it."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import torch

from server.engine.scripted_model import WantedTokens
from server.prompt.rendering import render_prompt
from tests.server.conftest import (
    MODEL,
    STOP_ID,
    TOKENIZER,
    VOCAB_SIZE,
    Served,
    ids,
    split_events,
)
from thinking.markers.profile import MarkerProfile

MAP = "/v1/thinking/map"
TEXT = "The ant is on the hill.\n"
THOUGHT = "qqqqqq"
ENDLESS = "".join(map(str, range(5000)))  # no loop to break
MESSAGES = [{"role": "user", "content": "How many?"}]


class ThinkingLogits:
    """Source that writes THOUGHT in any profile's markers; its distribution differs afterwards.

    `watch` is called at every step.
    """

    vocab_size = VOCAB_SIZE

    def __init__(
        self,
        profile: MarkerProfile,
        thought: str = THOUGHT,
        watch: Callable[[Sequence[int]], Any] = lambda prompt: None,
    ) -> None:
        self._end = list(profile.end_token_ids)
        self._thinks = WantedTokens(VOCAB_SIZE, (*ids(thought), *self._end), STOP_ID)
        self._watch = watch

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        self._watch(prompt)
        has_thought = self._end == list(output[-len(self._end) :])
        if output and not has_thought:
            return self._thinks.compute_logits(prompt, output)
        generator = torch.Generator().manual_seed(2 * len(prompt) + has_thought)
        return torch.randn(VOCAB_SIZE, generator=generator) * 2

    def compute_logprobs(self, num_prompt: int, *, has_thought: bool) -> torch.Tensor:
        """Return the log-probabilities of the token after `num_prompt` tokens, by softmax."""
        length = [0] * num_prompt
        return torch.log_softmax(
            self.compute_logits(length, self._end if has_thought else []), dim=0
        )


def make_body(**fields: Any) -> dict[str, Any]:
    """Return a small valid body; a field that is None is left out."""
    body = {"model": MODEL, "text": TEXT, "messages": MESSAGES, "temperature": 0, "seed": 1}
    return {name: value for name, value in (body | fields).items() if value is not None}


async def post(served: Served, **fields: Any) -> httpx.Response:
    """Request a map."""
    return await served.http.post(MAP, json=make_body(**fields))


async def get_map(served: Served, **fields: Any) -> dict[str, Any]:
    """Return a whole map."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def get_events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """Return the JSON events of a streamed map, after checking their frames."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    lines = split_events(response.text)
    if "error" not in lines[-1]:
        assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def count_prompt_tokens(profile: MarkerProfile) -> tuple[int, int]:
    """Return the number of tokens before the reply to MESSAGES: with a thought, and without."""
    opening = len(render_prompt(TOKENIZER, MESSAGES))
    return opening, opening + len(profile.no_thought_token_ids)
