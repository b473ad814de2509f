"""A running thought is ended, extended and added to on the real engine, over HTTP."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import pytest

from tests.e2e.shared import ThinkerServer
from thinker.chain import QUESTIONS, make_random_chain

pytestmark = pytest.mark.e2e

BUDGET = 300
CHAIN = make_random_chain(Random(3), 10, 14)
WORDS = "Check the sum once more."


@dataclass
class StreamedReply:
    """A streamed chat, as far as it has been read."""

    reply_id: str = ""
    thought: str = ""
    answer: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)

    def read(self, chunk: dict[str, Any]) -> None:
        """Take a chunk."""
        self.reply_id = chunk["id"]
        self.usage = chunk["usage"] or self.usage
        for choice in chunk["choices"]:
            self.thought += choice["delta"].get("reasoning") or ""
            self.answer += choice["delta"].get("content") or ""
            self.receipt = choice.get("thinking") or self.receipt


def make_body(**fields: Any) -> dict[str, Any]:
    return {
        "model": "thinker",
        "messages": [{"role": "user", "content": "".join(QUESTIONS[1](CHAIN))}],
        "max_thinking_tokens": BUDGET,
        # Only the budget or an order ends it.
        "min_thinking_tokens": BUDGET,
        "max_completion_tokens": 600,
        "thinking_options": {"loop_guard": False, "grace": 0},
        "include_reasoning": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **fields,
    }


async def iterate_chunks(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


async def chat_under_order(
    client: httpx.AsyncClient, order: dict[str, Any], **fields: Any
) -> tuple[StreamedReply, httpx.Response]:
    """Return a reply that is given an order once its thought has forty characters."""
    reply = StreamedReply()
    answer: httpx.Response | None = None
    async with client.stream("POST", "/v1/chat/completions", json=make_body(**fields)) as response:
        assert response.status_code == 200
        async for chunk in iterate_chunks(response):
            reply.read(chunk)
            if answer is None and len(reply.thought) >= 40:
                answer = await client.post(f"/v1/thinking/{reply.reply_id}", json=order)
    assert answer is not None
    details = reply.usage["completion_tokens_details"]
    assert details["reasoning_tokens"] == reply.receipt["used"] <= reply.receipt["budget"]
    assert reply.usage["completion_tokens"] > reply.receipt["used"]
    assert reply.answer.strip()
    return reply, answer


async def test_a_running_thought_is_ended_extended_and_added_to(
    thinker_server: ThinkerServer,
) -> None:
    async with httpx.AsyncClient(base_url=thinker_server.base_url, timeout=300) as client:
        ended, answer = await chat_under_order(client, {"action": "end"})
        assert answer.status_code == 200, answer.text
        assert ended.receipt["stop"] == "caller"
        assert answer.json()["choices"][0]["used"] < ended.receipt["used"] < BUDGET

        extended, answer = await chat_under_order(client, {"action": "extend", "tokens": 60})
        assert answer.json()["choices"][0]["extended"] == 60
        assert extended.receipt["budget"] == BUDGET + 60
        assert extended.receipt["extended"] == 60
        plain = await client.post(
            "/v1/chat/completions",
            json=make_body(stream=False, stream_options=None, max_thinking_tokens=BUDGET + 60),
        )
        (choice,) = plain.json()["choices"]
        assert extended.receipt["used"] <= choice["thinking"]["budget"]

        added, answer = await chat_under_order(client, {"action": "add", "text": WORDS})
        assert answer.status_code == 200, answer.text
        assert added.thought.split("\n").count(WORDS) == 1
        num_words = answer.json()["choices"][0]["injected"]
        assert added.receipt["injected"] >= num_words

        gone = await client.post(f"/v1/thinking/{added.reply_id}", json={"action": "end"})
        assert gone.status_code == 404


async def test_a_hidden_thought_before_a_grammar_is_ended_with_its_logprobs_in_place(
    thinker_server: ThinkerServer,
) -> None:
    """Gathered tokens, a constraint, and orders before the first token."""
    form = {"regex": "[0-9]{1,3}"}
    body = make_body(
        include_reasoning=False, structured_outputs=form, logprobs=True, temperature=1, seed=7
    )
    reply = StreamedReply()
    answers: list[httpx.Response] = []
    async with (
        httpx.AsyncClient(base_url=thinker_server.base_url, timeout=300) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        async for chunk in iterate_chunks(response):
            reply.read(chunk)
            if not answers:
                url = f"/v1/thinking/{reply.reply_id}"
                orders = ({"action": "extend", "tokens": 20}, {"action": "end"})
                answers = [await client.post(url, json=order) for order in orders]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert reply.answer.isdecimal()
    assert reply.receipt["stop"] == "caller"
    assert reply.receipt["extended"] == 20
    assert reply.receipt["used"] < BUDGET
    assert reply.thought == ""
