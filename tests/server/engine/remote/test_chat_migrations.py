"""All of chat's machinery over engines that die: replies are those of engines that live."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.engine.remote.conftest import FREE, FrontEnd, StartFrontEnd, until
from tests.server.engine.remote.faults import Fault, FaultKind
from tests.server.engine.remote.test_migrations import DEATHS, ONE_FRONT_END, shared_front_end
from tests.server.generation.governed import check_laws

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
EVERY = {**FREE, "gate": {"mode": "every", "tokens": 6}, "max_segments": 3, "segment_tokens": 9}
BASE: dict[str, Any] = {"max_thinking_tokens": 30, "max_completion_tokens": 70}
BODIES: list[dict[str, Any]] = [
    {**BASE, "thinking_options": FREE},
    {**BASE, "thinking_options": {**FREE, "wrap_up": "so"}, "include_reasoning": True},
    {**BASE, "thinking_options": {**FREE, "early_exit": 0.2}, "min_thinking_tokens": 12},
    {**BASE, "thinking_options": EVERY, "include_reasoning": True},
    {**BASE, "logprobs": True, "top_logprobs": 3},
    {**BASE, "stop": ["blue", "right"]},
    {**BASE, "response_format": FORMAT},
    {**BASE, "max_thinking_tokens": 0, "logit_bias": {"50": 5}},
]


def forget(value: Any) -> Any:
    """Return a reply without ids, times and migrations, which differ from run to run."""
    if isinstance(value, dict):
        left = {"id", "created", "seconds", "migrations"}
        return {key: forget(item) for key, item in value.items() if key not in left}
    return [forget(item) for item in value] if isinstance(value, list) else value


def count_migrations(reply: dict[str, Any]) -> int:
    """Return the migrations in the receipts."""
    return sum(choice["thinking"].get("migrations", 0) for choice in reply["choices"])


async def chat(front: FrontEnd, body: dict[str, Any]) -> dict[str, Any]:
    """Return a reply."""
    response = await front.chat(**body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def join(events: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Return the texts and the last receipt and usage of a stream."""
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    texts = {"content": "", "reasoning": ""}
    receipt: dict[str, Any] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            for name in texts:
                texts[name] += choice["delta"].get(name) or ""
            receipt = choice.get("thinking") or receipt
    return (texts, forget(receipt), forget(usage)), receipt


@ONE_FRONT_END
@given(st.sampled_from(BODIES), st.lists(DEATHS, max_size=3), st.booleans())
async def test_replies_of_engines_that_die_are_those_of_engines_that_live(
    start: StartFrontEnd, body: dict[str, Any], deaths: Sequence[Fault], streams: bool
) -> None:
    front = await shared_front_end(start)
    front.order()
    if streams:
        body = {**body, "stream_options": {"include_usage": True}}
        undisturbed, _ = join(await front.stream(**body))
        front.order(*deaths)
        disturbed, receipt = join(await front.stream(**body))
        assert receipt.get("migrations", 0) <= len(deaths)
        assert disturbed == undisturbed
    else:
        whole = await chat(front, body)
        assert count_migrations(whole) == 0
        front.order(*deaths)
        reply = await chat(front, body)
        check_laws(reply)
        assert forget(reply) == forget(whole)
        assert count_migrations(reply) <= len(deaths)
    await front.check_nothing_left()


async def test_a_grammar_is_told_how_far_its_answer_is(start: StartFrontEnd) -> None:
    front = await start(2)
    front.order(Fault(FaultKind.NO_FINISH, 40))
    await chat(front, BODIES[6])
    first, second = sorted(
        (one for engine in front.engines for one in engine.requests),
        key=lambda one: len(one.token_ids),
    )
    for sent in (first, second):
        assert json.loads(sent.sampling_params.structured_outputs.json) == SCHEMA
    prior = second.sampling_params.extra_args["thinking"]["prior_token_ids"]
    assert len(prior) == 40
    assert second.token_ids == [*first.token_ids, *prior]


GOVERNED: dict[str, Any] = {
    **BASE,
    "min_thinking_tokens": 20,
    "thinking_options": FREE,
    "include_reasoning": True,
}
ORDERS: list[dict[str, Any]] = [
    {"action": "end"},
    {"action": "extend", "tokens": 12},
]


@pytest.mark.parametrize("order", ORDERS, ids=[order["action"] for order in ORDERS])
@pytest.mark.parametrize("death", [Fault(FaultKind.HANG_UP, 0), Fault(FaultKind.HANG_UP, 4)])
async def test_a_thought_that_is_governed_outlives_its_engine(
    start: StartFrontEnd, order: dict[str, Any], death: Fault
) -> None:
    """The order comes at the same token, with and without deaths before and after it."""
    front = await start(2)
    whole = await govern(front, order, [Fault(FaultKind.SILENCE, 10)])
    for engine in front.engines:
        engine.released.clear()
    before = [Fault(FaultKind.NO_FINISH, 6), Fault(FaultKind.SILENCE, 4)]
    reply = await govern(front, order, [*before, death])
    check_laws(reply)
    assert forget(reply) == forget(whole)
    assert count_migrations(reply) == 2
    assert (
        reply["choices"][0]["thinking"] != (await chat(front, GOVERNED))["choices"][0]["thinking"]
    )


async def govern(front: FrontEnd, order: dict[str, Any], faults: Sequence[Fault]) -> dict[str, Any]:
    """Return a reply that is given an order while the silence among the faults lasts."""
    num_faults = front.num_faults + [one.kind for one in faults].index(FaultKind.SILENCE) + 1
    front.order(*faults)
    writing = asyncio.create_task(chat(front, GOVERNED))
    await until(lambda: front.num_faults == num_faults)
    (reply_id,) = front.services.running
    ordering = asyncio.create_task(front.http.post(f"/v1/thinking/{reply_id}", json=order))
    await asyncio.wait({ordering, writing}, return_when=asyncio.FIRST_COMPLETED, timeout=0.2)
    for engine in front.engines:
        engine.released.set()
    assert (await ordering).status_code == 200, ordering.result().text
    return await writing


async def test_an_error_in_a_stream_ends_what_has_been_written(start: StartFrontEnd) -> None:
    front = await start(2, max_migrations=1)
    front.order(Fault(FaultKind.HANG_UP, 40), Fault(FaultKind.HANG_UP, 5))
    events = await front.stream(**BASE)
    error = json.loads(events[-1])["error"]
    assert error["code"] == "engine_lost"
    text = "".join(
        choice["delta"].get("content") or ""
        for event in events[:-1]
        for choice in json.loads(event)["choices"]
    )
    assert text
    assert (await chat(front, BASE))["choices"][0]["message"]["content"].startswith(text)


async def test_sums_of_the_metrics_are_those_of_the_receipts(start: StartFrontEnd) -> None:
    front = await start(2)
    front.order(Fault(FaultKind.HANG_UP, 9), Fault(FaultKind.NO_FINISH, 9))
    receipt = (await chat(front, BASE))["choices"][0]["thinking"]
    assert receipt["migrations"] == 2
    lines = (await front.http.get("/metrics")).text.splitlines()
    assert f"thinking_reasoning_tokens_total {receipt['used']:.1f}" in lines
    assert "thinking_migrations_total 2.0" in lines
    assert 'thinking_engine_losses_total{cause="connection"} 2.0' in lines
    assert 'thinking_engine_losses_total{cause="silent"} 0.0' in lines
    assert "thinking_engines 2.0" in lines
    assert "thinking_engines_ready 2.0" in lines
