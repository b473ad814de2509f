"""Quotas through the app: the charges of each endpoint, and the responses to clients."""

import asyncio
import json
from dataclasses import fields
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from server.settings.quota import Quota
from tests.server.conftest import MODEL, Serve, Served, make_scope, wants

NOON = 1_000_000_000.0  # forty seconds into a minute
LARGE = 1_000_000
WIDE = {field.name: LARGE for field in fields(Quota)}
THOUGHT = "<think>some thought</think>yes"


def serve_limited(serve: Serve, source: Any = None, **quota: int) -> Served:
    """Return an app whose anonymous callers have `quota`, and whose clock is frozen."""
    served = serve(source or wants(THOUGHT), anonymous_quota={**WIDE, **quota})
    served.services.quotas.clock = lambda: NOON
    return served


async def read_used(served: Served) -> dict[str, int]:
    """Return what is charged to the anonymous caller, by quota."""
    usages = await served.services.quotas.get_usage(served.services.anonymous)
    return {usage.window.kind.name: usage.used for usage in usages}


async def assert_charged(served: Served, requests: int, usage: dict[str, Any]) -> None:
    """Check that the counters of both windows match the usage of a response."""
    charged = await read_used(served)
    for period in ("minute", "day"):
        assert charged[f"requests_per_{period}"] == requests
        assert charged[f"tokens_per_{period}"] == usage["total_tokens"]
        details = usage["completion_tokens_details"]
        assert charged[f"reasoning_tokens_per_{period}"] == details["reasoning_tokens"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n": 3},
        {"max_completion_tokens": 30},
        {"thinking_options": {"strategy": {"name": "best_of", "n": 3}}},
        {
            "thinking_options": {
                "strategy": {"name": "beam", "score_by": "confidence", "step_tokens": 8}
            },
            "n": 2,
        },
    ],
)
async def test_a_chat_is_charged_its_usage(serve: Serve, more: dict[str, Any]) -> None:
    served = serve_limited(serve)
    response = await served.chat(max_thinking_tokens=40, **more)
    assert response.status_code == 200, response.text
    await assert_charged(served, 1, response.json()["usage"])


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_response_is_charged_its_usage(serve: Serve, is_streamed: bool) -> None:
    served = serve_limited(serve)
    reply: Any = await served.openai.responses.create(
        model=MODEL,
        input="How many?",
        extra_body={"max_thinking_tokens": 40},
        stream=is_streamed,
    )
    if is_streamed:
        reply = [event async for event in reply][-1].response
    usage = reply.usage.model_dump()
    usage["completion_tokens_details"] = usage["output_tokens_details"]  # the other API's name
    await assert_charged(served, 1, usage)


async def test_a_stream_is_charged_its_usage(serve: Serve) -> None:
    served = serve_limited(serve)
    events = await served.events(
        max_thinking_tokens=40, n=2, stream_options={"include_usage": True}
    )
    await assert_charged(served, 1, events[-1]["usage"])


async def test_completions_of_several_prompts_are_charged_together(serve: Serve) -> None:
    served = serve_limited(serve)
    body = {"model": MODEL, "prompt": ["a", "bb", "ccc"], "n": 2, "max_tokens": 20}
    response = await served.http.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    usage = response.json()["usage"]
    charged = await read_used(served)
    assert charged["requests_per_day"] == 1
    assert charged["tokens_per_day"] == usage["total_tokens"]


async def test_a_map_is_charged(serve: Serve) -> None:
    served = serve_limited(serve)
    body = {"model": MODEL, "text": "one two", "thought_tokens": 8}
    response = await served.http.post("/v1/thinking/map", json=body)
    assert response.status_code == 200, response.text
    charged = await read_used(served)
    assert 0 < charged["reasoning_tokens_per_day"] < charged["tokens_per_day"]
    metrics = (await served.http.get("/metrics")).text
    assert f"thinking_reasoning_tokens_total {charged['reasoning_tokens_per_day']}.0" in metrics


async def test_an_answer_without_a_limit_is_charged_in_full(serve: Serve) -> None:
    """Check that the estimate before generation is replaced by the exact length after it."""
    served = serve_limited(serve, wants("<think>x</think>" + "word " * 60))
    response = await served.chat(max_thinking_tokens=10)
    assert response.json()["usage"]["completion_tokens"] > 60
    await assert_charged(served, 1, response.json()["usage"])


async def test_a_bad_request_costs_nothing(serve: Serve) -> None:
    served = serve_limited(serve)
    assert (await served.chat(max_thinking_tokens="many")).status_code == 400
    assert set((await read_used(served)).values()) == {0}


async def test_a_request_that_fails_in_the_engine_is_charged_what_it_used(serve: Serve) -> None:
    served = serve_limited(serve)
    served.engine.max_model_len = 16  # smaller than was checked against
    served.engine._admit = _refuse  # type: ignore[method-assign,assignment]
    response = await served.chat(max_thinking_tokens=40)
    assert response.status_code == 400
    charged = await read_used(served)
    assert charged["requests_per_day"] == 1
    assert charged["reasoning_tokens_per_day"] == 0
    assert charged["tokens_per_day"] < 40  # the prompt


def _refuse(request: Any) -> None:
    from server.errors.internal import EngineRequestError

    raise EngineRequestError("no")


QUESTION = {"messages": [{"role": "user", "content": "How many?"}]}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": QUESTION,
    "/v1/responses": {"input": "How many?"},
    "/v1/messages": {**QUESTION, "max_tokens": 200},
}


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("path", ASKED)
async def test_a_disconnected_client_is_charged_what_was_generated(
    serve: Serve, path: str, is_streamed: bool
) -> None:
    served = serve_limited(serve, wants("<think>" + "so " * 100 + "</think>yes"))

    async def receive() -> dict[str, Any]:
        if not sent_body:
            sent_body.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        while served.engine.num_generated < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    sent_body: list[bool] = []
    fields = {"model": MODEL, "max_thinking_tokens": 150, "stream": is_streamed}
    body = json.dumps(fields | ASKED[path]).encode()
    scope = make_scope(path)
    await served.app(scope, receive, send)
    charged = await read_used(served)
    assert 20 <= charged["reasoning_tokens_per_day"] < 100
    assert charged["requests_per_day"] == 1


@pytest.mark.parametrize("unit", ["requests", "reasoning_tokens"])
async def test_of_a_hundred_concurrent_requests_as_many_pass_as_fit(
    serve: Serve, unit: str
) -> None:
    cost = {"requests": 1, "reasoning_tokens": 20}[unit]
    served = serve_limited(serve, wants("<think>" + "x " * 50), **{f"{unit}_per_minute": 10 * cost})
    bodies = [served.chat(max_thinking_tokens=20) for _ in range(100)]
    statuses = [response.status_code for response in await asyncio.gather(*bodies)]
    assert statuses.count(200) == 10
    assert statuses.count(429) == 90


async def test_a_refusal_names_the_quota_and_when_it_resets(serve: Serve) -> None:
    served = serve_limited(serve, requests_per_minute=1)
    assert (await served.chat()).status_code == 200
    response = await served.chat()
    error = response.json()["error"]
    assert response.status_code == 429
    assert (error["code"], error["type"]) == ("quota_exceeded", "rate_limit_error")
    assert "requests_per_minute" in error["message"]
    assert "its limit is 1" in error["message"]
    assert response.headers["retry-after"] == "20"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_refused_request_costs_nothing(serve: Serve) -> None:
    served = serve_limited(serve, reasoning_tokens_per_minute=50, tokens_per_day=LARGE)
    await served.chat(max_thinking_tokens=40)
    before = await read_used(served)
    response = await served.chat(max_thinking_tokens=50)
    assert response.status_code == 429
    assert await read_used(served) == before


async def test_a_request_that_can_never_fit_should_not_be_retried(serve: Serve) -> None:
    served = serve_limited(serve, reasoning_tokens_per_minute=50)
    response = await served.chat(max_thinking_tokens=40, n=2)
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    assert response.headers["x-should-retry"] == "false"
    assert "never fit" in response.json()["error"]["message"]
    assert response.json()["error"]["param"] == "max_thinking_tokens"


async def test_no_choice_thinks_more_than_a_full_window_holds(serve: Serve) -> None:
    served = serve_limited(serve, reasoning_tokens_per_minute=30, reasoning_tokens_per_day=70)
    response = await served.chat(max_thinking_tokens=60)
    receipt = response.json()["choices"][0]["thinking"]
    assert (receipt["budget"], receipt["limited_by"]) == (30, "key")


async def test_a_thought_quota_of_zero_still_allows_answers(serve: Serve) -> None:
    served = serve_limited(serve, reasoning_tokens_per_minute=0)
    response = await served.chat(max_thinking_tokens=20)
    receipt = response.json()["choices"][0]["thinking"]
    assert (receipt["budget"], receipt["limited_by"], receipt["used"]) == (0, "key", 0)


async def test_an_exhausted_thought_quota_still_allows_answers_without_a_thought(
    serve: Serve,
) -> None:
    served = serve_limited(serve, reasoning_tokens_per_minute=30)
    await served.chat(max_thinking_tokens=30, min_thinking_tokens=30)
    assert (await served.chat(max_thinking_tokens=30)).status_code == 429
    assert (await served.chat(max_thinking_tokens=0)).status_code == 200


async def test_headers_show_the_tighter_window(serve: Serve) -> None:
    served = serve_limited(
        serve,
        requests_per_minute=2,
        requests_per_day=1000,
        reasoning_tokens_per_minute=1000,
        reasoning_tokens_per_day=50,
    )
    headers = (await served.chat(max_thinking_tokens=40)).headers
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-reset-requests"] == "20s"
    assert headers["x-ratelimit-limit-reasoning-tokens"] == "50"
    assert headers["x-ratelimit-remaining-reasoning-tokens"] == "10"
    assert headers["x-ratelimit-reset-reasoning-tokens"].endswith("s")
    assert not [name for name in headers if name.startswith("anthropic-")]


async def test_without_a_quota_there_are_no_headers(serve: Serve) -> None:
    response = await serve(wants(THOUGHT)).chat(max_thinking_tokens=40)
    assert not [name for name in response.headers if "ratelimit" in name]


async def test_anthropics_clients_read_their_own_headers_and_error(serve: Serve) -> None:
    served = serve_limited(serve, requests_per_minute=1)
    client = anthropic.AsyncAnthropic(
        api_key="none",
        base_url="http://test",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(served.app)),
    )
    messages: list[Any] = [{"role": "user", "content": "How many?"}]
    first = await client.messages.with_raw_response.create(
        model=MODEL, max_tokens=50, messages=messages
    )
    assert first.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert first.headers["anthropic-ratelimit-requests-reset"] == "2001-09-09T01:47:00Z"
    with pytest.raises(anthropic.RateLimitError):
        await client.messages.create(model=MODEL, max_tokens=50, messages=messages)


async def test_openais_client_raises_its_rate_limit_error(serve: Serve) -> None:
    served = serve_limited(serve, requests_per_minute=0)
    with pytest.raises(openai.RateLimitError) as caught:
        await served.openai.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}]
        )
    assert caught.value.code == "quota_exceeded"


async def test_the_usage_endpoint_reports_what_is_left(serve: Serve) -> None:
    served = serve_limited(serve, requests_per_minute=5)
    await served.chat(max_thinking_tokens=40)
    usage = (await served.http.get("/v1/thinking/usage")).json()
    assert usage["key"] == "anonymous"
    assert usage["quotas"]["requests_per_minute"] == {
        "limit": 5,
        "used": 1,
        "remaining": 4,
        "resets_at": "2001-09-09T01:47:00Z",
    }


async def test_the_usage_endpoint_shows_null_where_there_is_no_limit(serve: Serve) -> None:
    usage = (await serve().http.get("/v1/thinking/usage")).json()
    assert set(usage["quotas"]) == set(WIDE)
    assert set(usage["quotas"].values()) == {None}


async def test_metrics_count_use_and_refusals(serve: Serve) -> None:
    served = serve(wants(THOUGHT), anonymous_quota={"requests_per_day": 2})
    for _ in range(3):
        await served.chat(max_thinking_tokens=40)
    text = (await served.http.get("/metrics")).text
    labels = '{key="anonymous",quota="requests_per_day"}'
    assert f"thinking_quota_used_ratio{labels} 1.0" in text
    assert f"thinking_quota_refusals_total{labels} 1.0" in text
