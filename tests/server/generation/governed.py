"""Replies of the scripted engine that are given orders at chosen tokens, over HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import torch

from server.engine.scripted_model import WantedTokens
from tests.server.conftest import STOP_ID, VOCAB_SIZE, Served, chat_body, ids
from tests.thinking.sampler.states import expected, state_of
from thinking.tracker import ThinkingTracker

REQUEST_ID = "governed"
# The options under which nothing but budget and orders ends a thought of a random model.
FREE: dict[str, Any] = {"loop_guard": False, "grace": 0}


class WantedThroughout(WantedTokens):
    """Wants the tokens of `text` in order, also where a request continues another one's reply."""

    def __init__(self, text: str) -> None:
        super().__init__(VOCAB_SIZE, ids(text), STOP_ID)
        self._num_prompt: int | None = None

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        if self._num_prompt is None:
            self._num_prompt = len(prompt)
        return super().compute_logits((), [*prompt[self._num_prompt :], *output])


@dataclass
class Orders:
    """Bodies to send once the engine has generated so many tokens, and the answers to them."""

    bodies: Sequence[tuple[int, Mapping[str, Any]]]
    reply_id: str | None = REQUEST_ID  # None: the reply's own, the only one that is running
    headers: Mapping[str, str] = field(default_factory=dict)
    tasks: list["asyncio.Task[httpx.Response]"] = field(default_factory=list)

    def watch(self, served: Served) -> None:
        """Send the bodies in time, and compare the worker with a tracker at each token."""
        engine, emit = served.engine, served.engine._emit
        model = served.services.slot.model
        assert model is not None
        planner = model._planner
        trackers: dict[Any, ThinkingTracker] = {}
        waiting = sorted(self.bodies, key=lambda pair: pair[0])

        def emit_watched(row: Any, token_id: int, raw: Any) -> None:
            tables = engine._sampler.automaton.tables.tracker
            tracker = trackers.setdefault(row, ThinkingTracker(tables, row.request.plan))
            assert state_of(engine._sampler.automaton, row.sampler_row.slot) == expected(tracker)
            tracker.advance(token_id)
            emit(row, token_id, raw)
            while waiting and waiting[0][0] <= engine.num_generated:
                _, body = waiting.pop(0)
                self.tasks.append(asyncio.create_task(self.send(served, body)))

        async def encode_at_once(text: str) -> tuple[int, ...] | None:
            return planner.encode_words(text)  # in its thread, tokens would pass meanwhile

        engine._emit = emit_watched  # type: ignore[method-assign]
        model.encode_words = encode_at_once  # type: ignore[method-assign]

    async def send(self, served: Served, body: Mapping[str, Any]) -> httpx.Response:
        """Send one body."""
        self.reply_id = self.reply_id or next(iter(served.services.running))
        return await served.http.post(
            f"/v1/thinking/{self.reply_id}", json=dict(body), headers=dict(self.headers)
        )

    async def collect(self) -> list[httpx.Response]:
        """Return all answers."""
        return [await task for task in self.tasks]


async def chat_under_orders(
    served: Served, *bodies: tuple[int, Mapping[str, Any]], **fields: Any
) -> tuple[dict[str, Any], list[httpx.Response]]:
    """Return a whole reply, and the answers to the orders given while it was written."""
    orders = Orders(bodies)
    orders.watch(served)
    response = await served.http.post(
        "/v1/chat/completions", json=chat_body(**fields), headers={"x-request-id": REQUEST_ID}
    )
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    answers = await orders.collect()
    assert served.engine.num_running == 0
    assert len(served.services.running) == 0
    return reply, answers


def check_laws(reply: Mapping[str, Any]) -> None:
    """Assert what holds for every reply, whatever orders it was given."""
    details = reply["usage"]["completion_tokens_details"]
    used = [choice["thinking"]["used"] for choice in reply["choices"]]
    assert details["reasoning_tokens"] == sum(used)
    for choice in reply["choices"]:
        receipt = choice["thinking"]
        assert receipt["used"] <= receipt["budget"], receipt
        assert receipt["injected"] <= receipt["used"]
    num_answer = reply["usage"]["completion_tokens"] - sum(used)
    assert num_answer >= len(reply["choices"])  # there is always an answer
