"""One row a choice: what the reply said that it used, on every endpoint, and nothing else."""

import asyncio
import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import httpx
import pytest
from anthropic import AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.protocol import EngineRequest
from server.ledger.row import LedgerRow, to_receipt_record
from tests.examples import examples
from tests.server.api.anthropic.conftest import connect, make_arguments
from tests.server.conftest import MODEL, Served, chat_body, wants
from tests.server.ledger.conftest import WANTED, OpenLedger, compute_cost, read_rows
from tests.server.scraping import scrape

__all__ = ["connect"]
Json = dict[str, Any]
SHOWN = {"include_reasoning": True}  # each token comes at once
MESSAGES = [{"role": "user", "content": "How many?"}]
BODIES: dict[str, Json] = {
    "/v1/chat/completions": chat_body(),
    "/v1/completions": {"model": MODEL, "prompt": ["How many?", "And why?"]},
    "/v1/responses": {"model": MODEL, "input": "How many?"},
    "/v1/messages": {"model": MODEL, "messages": MESSAGES, "max_tokens": 64},
}
COUNTERS = {
    "prompt_tokens": "prompt_tokens",
    "reasoning_tokens": "thinking_tokens",
    "answer_tokens": "answer_tokens",
}
USAGES = {
    "/v1/chat/completions": ("prompt_tokens", "completion_tokens"),
    "/v1/completions": ("prompt_tokens", "completion_tokens"),
    "/v1/responses": ("input_tokens", "output_tokens"),
    "/v1/messages": ("input_tokens", "output_tokens"),
}


async def get_reply(served: Served, path: str, *, stream: bool, **fields: Any) -> tuple[str, Json]:
    """Return the id and the last usage of a reply."""
    body = {**BODIES[path], **fields, "stream": stream}
    if stream and USAGES[path][0] == "prompt_tokens":
        body["stream_options"] = {"include_usage": True}
    response = await served.http.post(path, json=body)
    assert response.status_code == 200, response.text
    if not stream:
        return response.json()["id"], response.json()["usage"]
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    events = [json.loads(line) for line in lines]
    bodies = [event.get("response") or event.get("message") or event for event in events]
    usages = [event["usage"] for event in [*bodies, *events] if event.get("usage")]
    return bodies[0]["id"], usages[-1]


def group(rows: list[LedgerRow]) -> dict[str, list[LedgerRow]]:
    """Return the rows by reply."""
    by_reply = defaultdict(list)
    for row in rows:
        by_reply[row.request_id].append(row)
    return by_reply


def check_usage(rows: list[LedgerRow], path: str, usage: Json) -> None:
    """Assert that the rows of a reply say what its usage says."""
    prompt, completion = USAGES[path]
    num_cached = sum(row.cached_tokens for row in rows)
    num_prompt = usage[prompt] + usage.get("cache_read_input_tokens", 0)
    assert num_prompt == sum(row.prompt_tokens for row in rows)
    assert usage[completion] == sum(row.answer_tokens + row.thinking_tokens for row in rows)
    details = usage.get("output_tokens_details") or usage["completion_tokens_details"]
    num_thought = details.get("reasoning_tokens", details.get("thinking_tokens"))
    assert num_thought == sum(row.thinking_tokens for row in rows)
    cached = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    assert num_cached == cached.get("cached_tokens", usage.get("cache_read_input_tokens"))
    assert [row.cost for row in rows] == [compute_cost(row) for row in rows]
    # The number on the wire is the exact sum, as far as JSON's numbers go.
    assert Decimal(repr(usage["cost"])) == sum(row.cost or 0 for row in rows)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_the_row_says_what_the_reply_used(
    serve_billed: OpenLedger, url: str, path: str, stream: bool
) -> None:
    served = serve_billed()
    served.engine.count_cached_tokens = lambda request: 3
    reply_id, usage = await get_reply(served, path, stream=stream)
    rows = read_rows(url)
    assert {row.request_id for row in rows} == {reply_id}
    assert [row.choice for row in rows] == list(range(2 if path == "/v1/completions" else 1))
    check_usage(rows, path, usage)
    for row in rows:
        assert (row.endpoint, row.key_id, row.model) == (path, "anonymous", MODEL)
        assert (row.finish, row.currency) == ("stop", "USD")
        assert row.receipt["used"] == row.thinking_tokens > 0


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
@pytest.mark.hypothesis
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sums_of_rows_equal_the_usages_of_all_replies(
    serve_billed: OpenLedger, url: str, data: st.DataObject
) -> None:
    """A prompt counts once, however many choices it has, and with the fewest cached tokens."""
    cached = data.draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
    bodies = data.draw(
        st.lists(
            st.tuples(st.sampled_from(list(BODIES)), st.integers(1, 3), st.booleans()),
            min_size=1,
            max_size=4,
        )
    )

    def count(request: EngineRequest) -> int:
        return cached[int(request.request_id.rpartition("-")[2])]

    async def ask() -> list[tuple[str, tuple[str, Json]]]:
        served = serve_billed()
        served.engine.count_cached_tokens = count
        asked = []
        for path, number, stream in bodies:
            n = {"n": number} if USAGES[path][0] == "prompt_tokens" else {}
            asked.append(get_reply(served, path, stream=stream, **n))
        replies = await asyncio.gather(*asked)
        return [(path, reply) for (path, *_), reply in zip(bodies, replies, strict=True)]

    replies = asyncio.run(ask())
    by_reply = group(read_rows(url))
    for path, (reply_id, usage) in replies:
        check_usage(by_reply[reply_id], path, usage)


async def test_an_echo_alone_costs_its_prompt(serve_billed: OpenLedger, url: str) -> None:
    served = serve_billed()
    _, usage = await get_reply(served, "/v1/completions", stream=False, max_tokens=0, echo=True)
    check_usage(read_rows(url), "/v1/completions", usage)
    assert usage["cost"] > 0


@pytest.mark.parametrize("max_tokens", [0, 20])
async def test_a_prompt_that_is_measured_is_charged_as_a_whole(
    serve_billed: OpenLedger, url: str, max_tokens: int
) -> None:
    served = serve_billed()
    served.engine.count_cached_tokens = lambda request: 3
    fields = {"max_tokens": max_tokens, "echo": True, "logprobs": 1, "n": 2}
    _, usage = await get_reply(served, "/v1/completions", stream=False, **fields)
    rows = read_rows(url)
    assert sorted(row.choice for row in rows) == [0, 1, 2, 3]
    check_usage(rows, "/v1/completions", usage)


async def test_a_map_has_a_row(serve_billed: OpenLedger, url: str) -> None:
    served = serve_billed()
    response = await served.http.post(
        "/v1/thinking/map", json={"model": MODEL, "text": "the end", "thought_tokens": 8}
    )
    usage = response.json()["usage"]
    (row,) = read_rows(url)
    assert (row.request_id, row.endpoint) == (response.json()["id"], "/v1/thinking/map")
    assert row.prompt_tokens == usage["prompt_tokens"]
    assert row.thinking_tokens == usage["completion_tokens_details"]["reasoning_tokens"]
    assert row.answer_tokens + row.thinking_tokens == usage["completion_tokens"]
    assert Decimal(repr(usage["cost"])) == row.cost == compute_cost(row)


async def test_nothing_of_prompt_thought_or_answer_is_in_a_row(
    serve_billed: OpenLedger, url: str
) -> None:
    served = serve_billed(wants("hidden words</think>shown words"))
    secret = "think step by step about the prompt's words"
    response = await served.chat(
        messages=[{"role": "user", "content": secret}], include_reasoning=True
    )
    assert response.json()["choices"][0]["thinking"]["advice"]
    (row,) = read_rows(url)
    written = json.dumps(row.to_dict())
    assert "words" not in written
    assert "step" not in written


def test_of_a_receipt_only_numbers_and_our_own_words_are_kept() -> None:
    turn = {"id": "my secret turn", "budget": 5}
    receipt = {"used": 3, "stop": "loop", "sealed": "gAAAA", "advice": ["x"], "turn": turn}
    assert to_receipt_record(receipt) == {"used": 3, "stop": "loop", "turn": {"budget": 5}}


async def test_a_request_that_is_refused_has_no_row(serve_billed: OpenLedger, url: str) -> None:
    served = serve_billed()
    assert (await served.chat(max_thinking_tokens=-7)).status_code == 400
    assert read_rows(url) == []


async def test_prices_alone_give_a_cost_and_no_signature(
    serve_billed: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THINKING_SERVER_LEDGER_KEYS")
    served = serve_billed(ledger=None)
    reply = (await served.chat()).json()
    assert reply["usage"]["cost"] > 0
    assert "signature" not in reply["choices"][0]["thinking"]


async def test_without_prices_and_ledger_replies_are_as_ever(served_plainly: Served) -> None:
    reply = (await served_plainly.chat()).json()
    assert "cost" not in reply["usage"]
    assert "signature" not in reply["choices"][0]["thinking"]


@pytest.fixture
def served_plainly(serve: Any) -> Served:
    """An app without prices and ledger."""
    made: Served = serve(wants(WANTED))
    return made


async def test_the_sdks_read_the_cost(serve_billed: OpenLedger) -> None:
    served = serve_billed()
    chat = await served.openai.chat.completions.create(model=MODEL, messages=MESSAGES)  # type: ignore[arg-type]
    response = await served.openai.responses.create(model=MODEL, input="How many?")
    for usage in (chat.usage, response.usage):
        assert usage is not None
        assert usage.model_extra is not None
        assert usage.model_extra["cost"] > 0


async def test_anthropics_sdk_reads_the_cost(serve_billed: OpenLedger, connect: Any) -> None:
    client: AsyncAnthropic = connect(serve_billed())
    whole = await client.messages.create(**make_arguments())
    assert whole.usage.model_extra is not None
    assert whole.usage.model_extra["cost"] > 0
    async with client.messages.stream(**make_arguments()) as stream:
        costs = [
            (event.usage.model_extra or {})["cost"]
            async for event in stream
            if event.type == "message_delta"
        ]
        assert (await stream.get_final_message()).stop_reason == whole.stop_reason
    assert costs == [whole.usage.model_extra["cost"]]


async def check_metrics(served: Served, rows: list[LedgerRow]) -> None:
    """Assert that the rows say what the server's counters say; what is counted is charged."""
    page = await scrape(served)
    for name, column in COUNTERS.items():
        counted = page.sum(f"thinking_{name}_total")
        assert counted == sum(getattr(row, column) for row in rows)
    assert page.sum("thinking_reasoning_tokens_total") > 0


async def test_each_failure_of_the_engine_is_recorded(serve_billed: OpenLedger, url: str) -> None:
    served = serve_billed(wants("z" * 400))
    asking = asyncio.create_task(served.chat(n=2, **SHOWN))
    while served.engine.num_generated < 20:  # noqa: ASYNC110 - the engine has no event for this
        await asyncio.sleep(0)
    served.engine.abort_all()
    response: httpx.Response = await asking
    assert response.status_code == 503
    await served.services.close()
    rows = read_rows(url)
    assert [(row.choice, row.finish) for row in rows] == [(0, "failed"), (1, "failed")]
    assert sum(row.prompt_tokens for row in rows) > 0
    await check_metrics(served, rows)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_hangs_up_is_charged_for_what_was_written(
    serve_billed: OpenLedger, url: str, stream: bool
) -> None:
    served = serve_billed(wants("z" * 400))
    asking = asyncio.create_task(served.chat(n=2, stream=stream, **SHOWN))
    while served.engine.num_generated < 20:  # noqa: ASYNC110 - the engine has no event for this
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await served.services.close()
    rows = read_rows(url)
    assert [row.finish for row in rows] == ["cancelled", "cancelled"]
    assert sum(row.prompt_tokens for row in rows) > 0
    await check_metrics(served, rows)
