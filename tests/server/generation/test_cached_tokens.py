"""`cached_tokens` of every API: what the engine had in its prefix cache before the request."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from server.choice.delta import ChoiceResult, count_cached_tokens
from server.engine.protocol import EngineRequest
from server.logs.log import LogFormat, ServerLog
from tests.server.api.anthropic.conftest import connect, make_arguments
from tests.server.conftest import MODEL, Serve, Served, chat_body, wants
from tests.server.scraping import scrape
from thinking.receipt import Receipt

__all__ = ["connect"]
Json = dict[str, Any]
RECEIPT = Receipt(None, "default", 0, None, 0, 0, 0, "none", 0.0)
WANTED = "so</think>Seven."
MESSAGES = [{"role": "user", "content": "How many?"}]
BODIES: dict[str, Json] = {
    "/v1/chat/completions": chat_body(stream_options={"include_usage": True}),
    "/v1/completions": {
        "model": MODEL,
        "prompt": "How many?",
        "stream_options": {"include_usage": True},
    },
    "/v1/responses": {"model": MODEL, "input": "How many?"},
    "/v1/messages": {"model": MODEL, "messages": MESSAGES, "max_tokens": 64},
}


def serve_cached(serve: Serve, count: Callable[[EngineRequest], int], **options: Any) -> Served:
    served = serve(wants(WANTED), **options)
    served.engine.count_cached_tokens = count
    return served


async def get_usage(served: Served, path: str, *, stream: bool, **fields: Any) -> Json:
    """Return the usage at the end of a reply."""
    body = {**BODIES[path], **fields, "stream": stream}
    if not stream:
        body.pop("stream_options", None)
    response = await served.http.post(path, json=body)
    assert response.status_code == 200, response.text
    if not stream:
        usage: Json = response.json()["usage"]
        return usage
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    events = [json.loads(line) for line in lines]
    found = [event.get("usage") or event.get("response", {}).get("usage") for event in events]
    last: Json = [usage for usage in found if usage][-1]
    return last


def get_counts(usage: Json) -> tuple[int, int]:
    """Return the number of prompt tokens and how many of them were cached, from any API's usage."""
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]
    if "input_tokens_details" in usage:
        return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
    cached = usage["cache_read_input_tokens"]
    assert usage["cache_creation_input_tokens"] == 0
    return usage["input_tokens"] + cached, cached


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_every_api_says_how_much_of_the_prompt_was_cached(
    serve: Serve, path: str, stream: bool
) -> None:
    served = serve_cached(serve, lambda request: 5)
    num_prompt, num_cached = get_counts(await get_usage(served, path, stream=stream))
    assert num_cached == 5
    assert served.engine.last_request is not None
    assert num_prompt == len(served.engine.last_request.prompt_token_ids)
    assert get_counts(await get_usage(serve(wants(WANTED)), path, stream=stream))[1] == 0


async def test_anthropics_client_reads_the_last_counts(serve: Serve, connect: Any) -> None:
    client: AsyncAnthropic = connect(serve_cached(serve, lambda request: 5))
    async with client.messages.stream(**make_arguments()) as stream:
        streamed = (await stream.get_final_message()).usage
    whole = (await client.messages.create(**make_arguments())).usage
    counted = await client.messages.count_tokens(model=MODEL, messages=MESSAGES)  # type: ignore[arg-type]
    for usage in (streamed, whole):
        assert usage.cache_read_input_tokens == 5
        assert usage.input_tokens + 5 == counted.input_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_the_choice_that_found_the_fewest_tells(serve: Serve, stream: bool) -> None:
    """The others also find what that one has computed."""
    served = serve_cached(serve, lambda request: [9, 4, 9][int(request.request_id[-1])])
    usage = await get_usage(served, "/v1/chat/completions", stream=stream, n=3)
    assert get_counts(usage)[1] == 4
    assert (await scrape(served)).sum("thinking_cached_prompt_tokens_total") == 4


@pytest.mark.parametrize("stream", [False, True])
async def test_several_prompts_are_added_up(serve: Serve, stream: bool) -> None:
    def count(request: EngineRequest) -> int:
        place, index = map(int, request.request_id.split("-")[-2:])
        return 10 * (place + 1) + index

    served = serve_cached(serve, count)
    prompts = ["How many apples are left?", "And how many pears are there now?"]
    usage = await get_usage(served, "/v1/completions", stream=stream, prompt=prompts, n=2)
    assert get_counts(usage)[1] == 10 + 20


async def test_a_measured_prompt_was_computed(serve: Serve) -> None:
    served = serve_cached(serve, lambda request: 5)
    fields = {"echo": True, "logprobs": 1}
    usage = await get_usage(served, "/v1/completions", stream=False, **fields)
    assert get_counts(usage)[1] == 0
    usage = await get_usage(served, "/v1/completions", stream=False, echo=True)
    assert get_counts(usage)[1] == 5


async def test_a_search_counts_what_its_first_branch_found(serve: Serve) -> None:
    seen: list[str] = []

    def count(request: EngineRequest) -> int:
        seen.append(request.request_id)
        return 3 if len(seen) == 1 else len(request.prompt_token_ids) - 1

    served = serve_cached(serve, count)
    usage = await get_usage(
        served,
        "/v1/chat/completions",
        stream=False,
        max_thinking_tokens=200,
        thinking_options={"strategy": {"name": "best_of", "n": 3}},
    )
    assert len(seen) > 1
    assert get_counts(usage)[1] == 3


async def test_tokens_of_the_choice_itself_are_not_the_prompts(serve: Serve) -> None:
    """The request that closes a thought in time begins with what was written before."""
    served = serve_cached(serve, lambda request: len(request.prompt_token_ids) - 1)
    usage = await get_usage(served, "/v1/chat/completions", stream=False, max_thinking_seconds=1e-6)
    num_prompt, num_cached = get_counts(usage)
    assert num_cached == num_prompt - 1


async def test_the_log_has_the_number(serve: Serve) -> None:
    pipe = io.StringIO()
    log = ServerLog(LogFormat.JSON, pipe)
    log.start()
    await serve_cached(serve, lambda request: 5).chat(n=2)
    log.stop()
    (line,) = map(json.loads, pipe.getvalue().splitlines())
    assert line["cached_tokens"] == 5


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), min_size=1, max_size=4))
def test_each_prompt_counts_once_in_any_order(numbers: Sequence[Sequence[int]]) -> None:
    results = [
        ChoiceResult("stop", RECEIPT, 0, 0, num_cached=number, prompt_index=prompt_index)
        for prompt_index, of_prompt in enumerate(numbers)
        for number in of_prompt
    ]
    expected = sum(map(min, numbers))
    assert count_cached_tokens(results) == count_cached_tokens(results[::-1]) == expected
