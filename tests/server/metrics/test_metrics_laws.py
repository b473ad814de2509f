"""The sums of the metrics are those of the receipts; labels are closed whatever is asked."""

import asyncio
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.app import create_app
from server.errors.causes import CAUSES
from server.metrics.choices import EARLY_ENDS
from tests.examples import examples
from tests.ops import programs
from tests.server.conftest import Serve, chat_body, make_services, wants
from tests.server.engine.test_engine_failures import ENDLESS, Caller, wait_until_running
from tests.server.scraping import scrape
from thinking.strategies.protocol import STRATEGY_NAMES

APP_PER_EXAMPLE = settings(
    max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MODELS = (None, "hm</think>fine", "so<|im_end|>", "la " * 400)
bodies = st.fixed_dictionaries(
    {"max_completion_tokens": st.integers(1, 60), "seed": st.integers(0, 2**31)},
    optional={
        "n": st.integers(1, 3),
        "max_thinking_tokens": st.integers(0, 80),
        "thinking_options": st.sampled_from(
            [{"loop_guard": False}, {"grace": 5}, {"wrap_up": "so"}, {"early_exit": 0.2}]
        ),
    },
)


@APP_PER_EXAMPLE
@given(st.lists(bodies, min_size=1, max_size=4), st.sampled_from(MODELS))
@example([{"max_completion_tokens": 1, "thinking_options": {"wrap_up": "so"}}], None)
@example([{"max_completion_tokens": 60, "max_thinking_tokens": 40}], MODELS[1])
@example([{"max_completion_tokens": 600}], MODELS[3])
async def test_sums_are_those_of_the_receipts(
    serve: Serve, requests: list[dict[str, Any]], wanted: str | None
) -> None:
    """Models that write anything, think shortly, end in their thought, or go in circles."""
    served = serve(wants(wanted) if wanted else None, max_model_len=1024)
    choices, answer, prompt, refused = [], 0, 0, 0
    for body in requests:
        reply = (await served.chat(**body)).json()
        if "error" in reply:  # a wrap-up that does not fit the budget
            refused += 1
            continue
        choices += [choice["thinking"] for choice in reply["choices"]]
        usage = reply["usage"]
        hidden = usage["completion_tokens_details"]["reasoning_tokens"]
        answer += usage["completion_tokens"] - hidden
        prompt += usage["prompt_tokens"]
    seen = await scrape(served)
    used = sum(receipt["used"] for receipt in choices)
    asked = [r["requested"] for r in choices if r["requested"] is not None]
    early = [r for r in choices if r["stop"] in EARLY_ENDS]
    assert seen.sum("thinking_reasoning_tokens_total") == used
    assert seen.sum("thinking_answer_tokens_total") == answer
    assert seen.sum("thinking_prompt_tokens_total") == prompt
    assert seen.sum("thinking_injected_tokens_total") == sum(r["injected"] for r in choices)
    assert seen.sum("thinking_used_tokens_sum") == used
    assert seen.sum("thinking_budget_tokens_sum") == sum(r["budget"] for r in choices)
    assert seen.sum("thinking_budget_tokens_count") == len(choices)
    assert seen.sum("thinking_budget_requested_tokens_sum") == sum(asked)
    assert seen.sum("thinking_budget_requested_tokens_count") == len(asked)
    assert seen.sum("thinking_budget_utilization_sum") == pytest.approx(
        sum(r["used"] / r["budget"] for r in choices if r["budget"])
    )
    assert seen.sum("thinking_segments_sum") == sum(r["segments"] for r in choices)
    assert seen.sum("thinking_seconds_sum") == pytest.approx(sum(r["seconds"] for r in choices))
    assert seen.sum("thinking_saved_tokens_total") == sum(r["budget"] - r["used"] for r in early)
    assert seen.group_by("thinking_stops_total", "cause") == Counter(r["stop"] for r in choices)
    assert seen.sum("thinking_rejections_total", cause="wrap_up_too_long") == refused
    limits = Counter(r["limited_by"] for r in choices if r["limited_by"])
    assert seen.group_by("thinking_budget_limited_total", "by") == limits


async def test_a_search_counts_what_its_receipt_says(serve: Serve) -> None:
    served = serve()
    fields = {"max_completion_tokens": 200, "max_thinking_tokens": 120}
    options = {"strategy": {"name": "best_of", "n": 3}}
    reply = (await served.chat(**fields, thinking_options=options)).json()
    (receipt,) = [choice["thinking"] for choice in reply["choices"]]
    seen = await scrape(served)
    assert seen.sum("thinking_reasoning_tokens_total") == receipt["used"]
    branches = {"best_of": receipt["branches"]}
    assert seen.group_by("thinking_branches_total", "strategy") == branches
    assert set(STRATEGY_NAMES) >= set(branches)


paths = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["v1/models/", "v1/chat/completions", "metrics", "v1/responses/"]).flatmap(
        lambda start: st.text(max_size=10).map(start.__add__)
    ),
)
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "TRACE", "BREW", "x-y"])


@APP_PER_EXAMPLE
@given(st.lists(st.tuples(methods, paths, st.binary(max_size=30)), max_size=20))
async def test_no_path_method_or_body_makes_a_series_of_its_own(
    serve: Serve, asked: list[tuple[str, str, bytes]]
) -> None:
    served = serve()
    templates = {getattr(route, "path", "") for route in served.app.routes} | {"unknown"}
    await served.http.get("/nowhere")
    for method, path, content in asked:
        headers = {"content-type": "application/json"}
        await served.http.request(method, f"/{quote(path)}", content=content, headers=headers)
    seen = await scrape(served)
    endpoints = seen.group_by("thinking_http_requests_total", "endpoint")
    assert "unknown" in endpoints
    assert set(endpoints) <= templates
    assert set(seen.group_by("thinking_rejections_total", "cause")) <= set(CAUSES)
    statuses = {s.labels["status"] for s in seen.samples if "status" in s.labels}
    assert statuses <= {"200", "307", "400", "401", "404", "405", "413", "415", "503"}


async def test_every_refused_request_is_counted_once_by_its_code(serve: Serve) -> None:
    served = serve()
    refused = [
        await served.chat(max_thinking_token=1),
        await served.chat(max_thinking_tokens="much"),
        await served.chat(model="other"),
        await served.http.post("/v1/messages", json={}),
        await served.http.get("/nowhere"),
        await served.http.get("/v1/chat/completions"),
        await served.http.post("/v1/chat/completions", content=b"{"),
    ]
    codes = Counter(
        "unknown_field invalid_value model_not_found missing_field not_found "
        "method_not_allowed not_json".split()
    )
    assert all(response.status_code >= 400 for response in refused)
    seen = await scrape(served)
    assert seen.group_by("thinking_rejections_total", "cause") == codes
    assert not seen.group_by("thinking_stream_errors_total", "cause")
    for name in ("prompt_tokens_total", "answer_tokens_total", "stops_total", "used_tokens_count"):
        assert seen.sum(f"thinking_{name}") == 0, "nothing was generated for them"


async def test_what_nobody_foresaw_is_counted_too(serve: Serve) -> None:
    served = serve()

    @served.app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    assert (await served.http.get("/broken")).status_code == 500
    seen = await scrape(served)
    assert seen.group_by("thinking_rejections_total", "cause") == {"internal_error": 1}
    assert seen.sum("thinking_http_requests_total", endpoint="/broken", status="500") == 1


STREAMS = {
    "/v1/chat/completions": chat_body(stream=True),
    "/v1/completions": {"model": "scripted", "prompt": "a", "max_tokens": 9000, "stream": True},
    "/v1/responses": {"model": "scripted", "input": "a", "stream": True},
    "/v1/messages": chat_body(stream=True, max_tokens=9000),
    "/v1/thinking/map": {"model": "scripted", "text": "abc", "stream": True},
}


@pytest.mark.parametrize("path", STREAMS)
async def test_an_error_in_a_stream_is_counted_by_its_code(serve: Serve, path: str) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    caller = Caller(served.app, path, STREAMS[path])
    await caller.read_until("data: ")
    served.engine.kill()
    await asyncio.wait_for(caller.task, 10)
    seen = await scrape(served)
    assert seen.group_by("thinking_stream_errors_total", "cause") == {"engine_dead": 1}
    assert not seen.group_by("thinking_rejections_total", "cause")


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_is_no_rejection(serve: Serve, is_streamed: bool) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    caller = Caller(served.app, stream=is_streamed, max_thinking_tokens=50_000)
    await wait_until_running(served.engine, 1)
    caller.leave()
    await asyncio.wait_for(caller.task, 10)
    seen = await scrape(served)
    assert seen.sum("thinking_clients_left_total") == 1
    assert not seen.group_by("thinking_rejections_total", "cause")
    assert seen.sum("thinking_requests_in_flight") == 1  # the scrape's


async def test_a_client_that_stays_has_not_left(serve: Serve) -> None:
    served = serve(wants("hm</think>fine"))
    await served.chat()
    await served.events()
    seen = await scrape(served)
    assert seen.sum("thinking_clients_left_total") == 0
    assert seen.sum("thinking_http_request_seconds_count", endpoint="/v1/chat/completions") == 2


async def test_the_build_names_the_model_once_it_is_there(serve: Serve) -> None:
    services = make_services()
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert 'thinking_build_info{model=""' in (await http.get("/metrics")).text
    served = serve()
    assert (await scrape(served)).sum("thinking_build_info", model="scripted") == 1


async def test_closed_labels_are_there_before_the_first_event(serve: Serve) -> None:
    served = serve()
    before = (await scrape(served)).list_series()
    await served.chat(n=2, max_thinking_tokens=30, max_completion_tokens=40)
    await served.chat(nonsense=1)
    new = {name for name, _ in (await scrape(served)).list_series() - before}
    assert {name.removesuffix("_created") for name in new} <= {
        "thinking_http_requests",
        "thinking_http_requests_total",
        "thinking_ignored_fields",
        "thinking_ignored_fields_total",
        *(f"thinking_http_request_seconds{end}" for end in ("", "_bucket", "_count", "_sum")),
    }


async def test_histograms_reach_to_a_million_tokens_and_an_hour(serve: Serve) -> None:
    bounds: dict[str, float] = {}
    for sample in (await scrape(serve())).samples:
        if sample.name.startswith("thinking_") and sample.labels.get("le", "+Inf") != "+Inf":
            bounds[sample.name] = max(bounds.get(sample.name, 0), float(sample.labels["le"]))
    for name in ("budget_tokens", "budget_requested_tokens", "used_tokens"):
        assert bounds[f"thinking_{name}_bucket"] >= 1_000_000
    assert bounds["thinking_seconds_bucket"] >= 3600


async def test_promtool_finds_no_fault(serve: Serve) -> None:
    served = serve()
    await served.chat(max_completion_tokens=20)
    text = (await served.http.get("/metrics")).text
    # vLLM's, where this process has imported it: promtool keeps the colon for rules.
    ours = "".join(line for line in text.splitlines(keepends=True) if "vllm:" not in line)
    result = programs.run(["promtool", "check", "metrics"], given=ours)
    assert result.returncode == 0, result.stdout
    assert not result.stdout
