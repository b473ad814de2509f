"""``task_budget``: one budget for the requests of a task, which repeat each other's calls."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage

from tests.server.api.anthropic.conftest import Connect, create_message, post
from tests.server.api.anthropic.test_tools import ADD, CALL
from tests.server.conftest import MODEL, VOCAB_SIZE, Serve, Served, ids, wants

BETA = "task-budgets-2026-03-13"
QUESTION: Any = {"role": "user", "content": "How many?"}
TOTAL = 400


class ThinkingCaller:
    """A model that calls a tool, after a thought if it is made to begin one."""

    vocab_size = VOCAB_SIZE

    def __init__(self) -> None:
        self._thinker, self._caller = wants(f"<think>Two and two.</think>{CALL}"), wants(CALL)

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`LogitsSource`."""
        begins = tuple(output[:1]) == ids("<think>")
        source = self._thinker if begins else self._caller
        return source.compute_logits(prompt, output)


class Agent:
    """An agent's loop: it answers the calls of each reply. Lists what each request has used."""

    def __init__(self, client: AsyncAnthropic, total: int = TOTAL, **options: Any) -> None:
        self.client = client
        self.messages: list[Any] = [QUESTION]
        self.task_budget: Any = {"type": "tokens", "total": total}
        self.options = options
        self.receipts: list[dict[str, Any]] = []
        self.num_tokens: list[int] = []

    async def run(self, num_requests: int, *, is_streamed: bool = False) -> None:
        for _ in range(num_requests):
            message, receipt = await (self._read_stream() if is_streamed else self._ask())
            self.receipts.append(receipt)
            self.num_tokens.append(message.usage.output_tokens)
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "23"}
                for block in message.content
                if block.type == "tool_use"
            ]
            if not results:
                return
            self.messages += [
                {"role": "assistant", "content": [b.to_dict() for b in message.content]},
                {"role": "user", "content": results},
            ]

    async def _ask(self) -> tuple[BetaMessage, dict[str, Any]]:
        message = await self.client.beta.messages.create(**self._arguments)
        assert message.model_extra is not None
        return message, message.model_extra["thinking"]

    async def _read_stream(self) -> tuple[BetaMessage, dict[str, Any]]:
        async with self.client.beta.messages.stream(**self._arguments) as stream:
            receipts = [
                event.model_extra["thinking"]
                async for event in stream
                if event.type == "message_delta" and event.model_extra
            ]
            return await stream.get_final_message(), receipts[-1]

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "model": MODEL,
            "max_tokens": 300,
            "messages": self.messages,
            "tools": [ADD],
            "output_config": {"task_budget": self.task_budget},
            "thinking": {"type": "enabled", "budget_tokens": 40},
            "betas": [BETA],
            "extra_body": {"temperature": 0, **self.options},
        }


def serve_agent(serve: Serve) -> Served:
    return serve(ThinkingCaller(), max_model_len=8192)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_the_requests_of_an_agents_loop_draw_on_one_budget(
    serve: Serve, connect: Connect, is_streamed: bool
) -> None:
    agent = Agent(connect(serve_agent(serve)))
    await agent.run(6, is_streamed=is_streamed)
    assert len(agent.receipts) == 6
    used = 0
    for receipt, num_tokens in zip(agent.receipts, agent.num_tokens, strict=True):
        left = max(0, TOTAL - used)
        assert receipt["budget"] == min(40, left)
        assert receipt["limited_by"] == (None if left >= 40 else "turn")
        used += num_tokens  # of the thought, the answer and the calls
        assert receipt["turn"] == {
            "budget": TOTAL,
            "used": used,
            "remaining": max(0, TOTAL - used),
        }
    assert agent.receipts[0]["used"] > 0
    assert agent.receipts[-1]["used"] == 0
    assert used > TOTAL  # it ends thoughts, no answers


async def test_a_persons_next_message_begins_another_task(serve: Serve, connect: Connect) -> None:
    agent = Agent(connect(serve_agent(serve)))
    await agent.run(2)
    agent.messages.append(QUESTION)
    await agent.run(1)
    assert agent.receipts[-1]["turn"]["used"] == agent.num_tokens[-1]


async def test_tasks_that_begin_alike_are_apart(serve: Serve, connect: Connect) -> None:
    client = connect(serve_agent(serve))
    for _ in range(2):
        agent = Agent(client)
        await agent.run(2)
        assert agent.receipts[-1]["turn"]["used"] == sum(agent.num_tokens)


async def test_a_shortened_conversation_goes_on_with_what_the_client_says_is_left(
    serve: Serve, connect: Connect
) -> None:
    agent = Agent(connect(serve_agent(serve)))
    agent.task_budget["remaining"] = 50
    await agent.run(2)
    used = agent.num_tokens[0]
    assert agent.receipts[0]["turn"] == {
        "budget": TOTAL,
        "used": TOTAL - 50 + used,
        "remaining": max(0, 50 - used),
    }
    assert agent.receipts[1]["turn"]["used"] == TOTAL - 50 + sum(agent.num_tokens)
    assert agent.receipts[1]["budget"] == max(0, 50 - used)


async def test_remaining_limits_a_request_below_what_is_known_here(
    serve: Serve, connect: Connect
) -> None:
    agent = Agent(connect(serve_agent(serve)))
    await agent.run(1)
    agent.task_budget["remaining"] = 9
    await agent.run(1)
    assert (agent.receipts[1]["budget"], agent.receipts[1]["limited_by"]) == (9, "turn")


async def test_with_an_id_it_is_the_budget_of_that_turns_thoughts(
    serve: Serve, connect: Connect
) -> None:
    served = serve_agent(serve)
    for _ in range(2):  # two conversations, one turn
        agent = Agent(connect(served), thinking_options={"turn": {"id": "a"}})
        await agent.run(2)
    thought = agent.receipts[0]["used"]
    assert agent.receipts[-1]["turn"]["used"] == 4 * thought
    state = (await served.http.get("/v1/thinking/turns/a")).json()
    assert (state["used"], state["budget"]) == (4 * thought, TOTAL)


async def test_the_calls_of_other_requests_keep_their_ids(serve: Serve) -> None:
    served = serve_agent(serve)
    fields = {"tools": [ADD], "max_tokens": 300}
    task = {"task_budget": {"type": "tokens", "total": 900}}
    plain = await create_message(served, **fields)
    in_task = await create_message(served, **fields, output_config=task)
    assert "_" not in plain["content"][-1]["id"].removeprefix("toolu_")
    assert in_task["content"][-1]["id"].startswith("toolu_t")
    assert "turn" not in plain["thinking"]


@pytest.mark.parametrize(
    ("config", "options", "param"),
    [
        ({"type": "seconds", "total": 9}, {}, "output_config.task_budget.type"),
        ({"type": "tokens"}, {}, "output_config.task_budget.total"),
        ({"type": "tokens", "total": -1}, {}, "output_config.task_budget.total"),
        ({"type": "tokens", "total": "9"}, {}, "output_config.task_budget.total"),
        ({"type": "tokens", "total": 9, "remaining": -1}, {}, "task_budget.remaining"),
        ({"type": "tokens", "total": 9, "remaining": 10}, {}, "task_budget.remaining"),
        ({"type": "tokens", "total": 9}, {"id": "a", "budget": 8}, "thinking_options.turn.budget"),
    ],
)
async def test_a_bad_budget_is_refused_by_name(
    serve: Serve, config: dict[str, Any], options: dict[str, Any], param: str
) -> None:
    served = serve_agent(serve)
    more: dict[str, Any] = {"thinking_options": {"turn": options}} if options else {}
    response = await post(served, output_config={"task_budget": config}, **more)
    assert response.status_code == 400, response.text
    error = json.loads(response.text)["error"]
    assert param in error["message"]


async def test_another_total_names_the_one_in_force(serve: Serve, connect: Connect) -> None:
    served = serve_agent(serve)
    agent = Agent(connect(served))
    await agent.run(1)
    task = {"task_budget": {"type": "tokens", "total": TOTAL + 1}}
    response = await post(served, messages=agent.messages, tools=[ADD], output_config=task)
    assert response.status_code == 400
    assert f"a budget of {TOTAL} tokens" in response.json()["error"]["message"]
