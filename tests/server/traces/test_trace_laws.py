"""Guarantees of traces for the operator, clients and strangers, tested over the API."""

import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import choice_texts
from tests.server.traces.conftest import (
    ANSWER,
    THOUGHT,
    TOKEN,
    ServeTraces,
    make_client,
    read_bytes_on_disk,
    read_traces,
    request_completion,
)

TRACES = "/v1/thinking/traces"
FEEDBACK = "/v1/thinking/feedback"


def make_readable_by_all(path: Path) -> None:
    path.touch()
    path.chmod(0o644)


def read_modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


async def test_a_trace_contains_messages_thoughts_and_answers(
    serve_traces: ServeTraces,
) -> None:
    served = serve_traces()
    reply_id = await request_completion(served, temperature=0.5, seed=3, n=2)
    (trace,) = await read_traces(served)
    assert trace["id"] == reply_id
    assert trace["messages"] == [{"role": "user", "content": "How many?"}]
    assert trace["markers"] == {"start": "<think>", "end": "</think>"}
    assert (trace["sampling"]["temperature"], trace["sampling"]["seed"]) == (0.5, 3)
    assert [choice["index"] for choice in trace["choices"]] == [0, 1]
    for choice in trace["choices"]:
        assert choice["thoughts"] == [{"text": THOUGHT, "at": 0}]
        assert choice["answer"] == ANSWER
        assert choice["thinking"]["used"] > len("</think>")
    assert trace["verdicts"] == []


async def test_a_trace_says_how_its_thoughts_were_sampled(serve_traces: ServeTraces) -> None:
    served = serve_traces()
    await request_completion(served, temperature=0)
    options = {"sampling": {"temperature": 0.5, "top_k": 3}}
    await request_completion(served, temperature=0, thinking_options=options)
    plain, apart = await read_traces(served)
    assert "thought" not in plain["sampling"]
    thought = {"temperature": 0.5, "top_p": 1.0, "top_k": 3, "min_p": 0.0}
    assert apart["sampling"] == {**plain["sampling"], "thought": thought}


async def test_a_stream_is_recorded_like_a_whole_reply(serve_traces: ServeTraces) -> None:
    served = serve_traces()
    await request_completion(served)
    await served.events(temperature=0, max_thinking_tokens=100)
    whole, streamed = await read_traces(served)
    assert whole["choices"][0].pop("thinking") | {"seconds": 0} == (
        streamed["choices"][0].pop("thinking") | {"seconds": 0}
    )
    assert whole["choices"] == streamed["choices"]


@pytest.mark.parametrize("traced", [True, False])
async def test_tracing_shows_no_client_a_hidden_thought(
    serve_traces: ServeTraces, traced: bool
) -> None:
    served = serve_traces(**({} if traced else {"trace_store": None}))
    whole = await served.chat(temperature=0, max_thinking_tokens=100)
    streamed = await served.chat(temperature=0, max_thinking_tokens=100, stream=True)
    for text in (whole.text, streamed.text):
        assert "carry" not in text
        assert "reasoning_content" not in text
    shown = await served.chat(temperature=0, max_thinking_tokens=100, include_reasoning=True)
    assert shown.json()["choices"][0]["message"]["reasoning"] == THOUGHT
    events = await served.events(temperature=0, max_thinking_tokens=100)
    assert choice_texts(events) == [ANSWER]


async def test_store_false_records_nothing(serve_traces: ServeTraces, path: Path) -> None:
    served = serve_traces()
    reply_id = await request_completion(
        served, store=False, messages=[{"role": "user", "content": "Psst!"}]
    )
    await request_completion(served)
    assert len(await read_traces(served)) == 1
    await served.services.close()
    assert b"Psst!" not in read_bytes_on_disk(path)
    assert reply_id.encode() not in read_bytes_on_disk(path)


async def test_without_a_store_nothing_is_kept_and_the_option_is_named(
    serve_traces: ServeTraces,
) -> None:
    served = serve_traces(trace_store=None)
    reply_id = await request_completion(served)
    answers = [
        await served.http.post(FEEDBACK, json={"id": reply_id, "verdict": "good"}),
        await served.http.get(TRACES),
        await served.http.delete(f"{TRACES}/{reply_id}"),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert "--trace-store" in answer.json()["error"]["message"]
    refused = await served.chat(store=True)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "store")


async def test_what_was_redacted_never_reaches_the_file(
    serve_traces: ServeTraces, path: Path
) -> None:
    secret = "4242-4242"
    served = serve_traces(
        f"it is {secret}</think>You said {secret}.", trace_redact=[r"\d{4}-\d{4}", "(?i)ann[ae]"]
    )
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Serve ANNA."},
        {"role": "user", "content": [{"type": "text", "text": f"I am Anne: {secret}"}]},
    ]
    reply_id = await request_completion(served, messages=messages, stop=[f"end {secret}"])
    note = {"id": reply_id, "verdict": "bad", "note": f"Anna's {secret}", "verifier": "anne"}
    assert (await served.http.post(FEEDBACK, json=note)).status_code == 200
    (trace,) = await read_traces(served)
    assert trace["choices"][0]["answer"] == "You said [redacted]."
    assert trace["choices"][0]["thoughts"][0]["text"] == "it is [redacted]"
    assert trace["id"] == reply_id
    on_disk = read_bytes_on_disk(path)
    await served.services.close()
    for content in (on_disk, read_bytes_on_disk(path)):
        assert b"[redacted]" in content
        assert secret.encode() not in content
        assert b"ann" not in content.lower()


async def test_the_file_is_the_owners_alone(serve_traces: ServeTraces, path: Path) -> None:
    make_readable_by_all(path)
    await request_completion(served := serve_traces())
    await read_traces(served)
    modes = read_modes(path)
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}, modes


async def test_a_full_queue_drops_and_counts_and_blocks_no_request(
    serve_traces: ServeTraces,
) -> None:
    served = serve_traces(trace_queue=2)
    assert served.services.traces is not None
    gate, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        waiting.set()
        gate.wait()

    served.services.traces._jobs.put(hold)
    waiting.wait()
    try:
        for _ in range(5):
            await request_completion(served)
        busy = await served.http.post(FEEDBACK, json={"id": "x", "verdict": "good"})
        assert busy.status_code == 503
        metrics = (await served.http.get("/metrics")).text
        assert 'thinking_traces_dropped_total{reason="queue_full"} 3.0' in metrics
    finally:
        gate.set()
    await served.services.close()
    assert "thinking_traces_written_total 2.0" in (await served.http.get("/metrics")).text


async def test_closing_writes_what_is_queued(serve_traces: ServeTraces, path: Path) -> None:
    served = serve_traces()
    ids = [await request_completion(served) for _ in range(20)]
    await served.services.close()
    assert set(read_modes(path)) == {path.name}  # no write-ahead log is left
    content = read_bytes_on_disk(path)
    assert all(reply_id.encode() in content for reply_id in ids)


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        ("192.0.2.7", "127.0.0.1", {}),
        ("127.0.0.1", "evil.example", {}),
        ("127.0.0.1", "127.0.0.1", {"x-forwarded-for": "192.0.2.7"}),
    ],
)
async def test_without_a_token_only_this_machine_reads(
    serve_traces: ServeTraces, address: str, host: str, headers: dict[str, str]
) -> None:
    served = serve_traces()
    reply_id = await request_completion(served)
    async with make_client(served, address, host) as client:
        for method, url in (("GET", TRACES), ("DELETE", f"{TRACES}/{reply_id}")):
            refused = await client.request(method, url, headers=headers)
            assert refused.status_code == 403
            assert THOUGHT not in refused.text
            assert "THINKING_SERVER_TRACE_TOKEN" in refused.json()["error"]["message"]
    assert len(await read_traces(served)) == 1


async def test_where_thoughts_are_not_shown_this_machine_reads_no_traces(
    serve_traces: ServeTraces,
) -> None:
    served = serve_traces(show_thoughts=False)
    async with make_client(served, "127.0.0.1") as client:
        assert (await client.get(TRACES)).status_code == 403


@pytest.mark.parametrize("address", ["192.0.2.7", "127.0.0.1"])
async def test_a_token_is_required_and_sufficient(
    serve_traces: ServeTraces, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("THINKING_SERVER_TRACE_TOKEN", TOKEN)
    served = serve_traces(show_thoughts=False)
    await request_completion(served)
    async with make_client(served, address, "api.example") as client:
        for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {TOKEN}"}):
            refused = await client.get(TRACES, headers=wrong)
            assert (refused.status_code, "carry" in refused.text) == (401, False)
        shown = await client.get(TRACES, headers={"authorization": f"Bearer {TOKEN}"})
        assert THOUGHT in shown.text
    assert TOKEN not in repr(served.services)


async def test_a_deleted_trace_is_gone_from_the_file(serve_traces: ServeTraces, path: Path) -> None:
    served = serve_traces()
    reply_id = await request_completion(served)
    async with make_client(served, "127.0.0.1") as client:
        assert (await client.delete(f"{TRACES}/{reply_id}")).status_code == 204
        assert (await client.delete(f"{TRACES}/{reply_id}")).status_code == 404
    assert await read_traces(served) == []
    assert THOUGHT.encode() not in read_bytes_on_disk(path)
