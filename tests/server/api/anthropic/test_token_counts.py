"""``estimated_tokens``: how long a hidden thought is so far, for clients with the beta.

The client's type says what they are: increments for each block, to be summed, null where none is
due, and only where the thought's text is left out. Ours are exact.
"""

from itertools import groupby
from typing import Any

import pytest
from anthropic.types.beta import BetaThinkingDelta

from tests.server.api.anthropic.conftest import (
    ANSWER,
    PATH,
    Connect,
    make_arguments,
    make_body,
    make_thinking,
)
from tests.server.api.anthropic.test_bad_messages import CLAUDE_CODE, CLAUDE_CODE_HEADERS
from tests.server.api.test_thinking_progress import read_events, set_clock
from tests.server.conftest import MARKER_TEXTS, Serve, Served, wants
from thinking.markers.profile import MarkerProfile

BETA = "thinking-token-count-2026-05-13"
COUNTS = {"anthropic-beta": f"interleaved-thinking-2025-05-14,{BETA}"}
THOUGHT = " ".join(map(str, range(120)))
SCRIPT = f"{THOUGHT}</think>{ANSWER}"
GATE = {
    "gate": {"mode": "every", "tokens": 4, "opening": False},
    "max_segments": 3,
    "segment_tokens": 20,
    "loop_guard": False,
}


async def get_stream(
    served: Served, headers: dict[str, str], **fields: Any
) -> list[dict[str, Any]]:
    asked = make_body(**{"stream": True, "max_tokens": 800, **fields})
    response = await served.http.post(PATH, json=asked, headers=headers)
    assert response.status_code == 200, response.text
    assert not any(marker in response.text for marker in MARKER_TEXTS)
    return read_events(response.text)


def get_deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event["delta"]
        for event in events
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "thinking_delta"
    ]


def count_thinking_tokens(events: list[dict[str, Any]]) -> int:
    (usage,) = [event["usage"] for event in events if event["type"] == "message_delta"]
    return int(usage["output_tokens_details"]["thinking_tokens"])


@pytest.mark.parametrize("display", [None, "omitted", "updates"])
async def test_the_increments_of_a_block_add_up_to_the_tokens_of_its_thought(
    serve: Serve, profile: MarkerProfile, display: str | None
) -> None:
    served = serve(wants(SCRIPT), profile, max_model_len=4096)
    set_clock(served, 0.1)
    thinking = make_thinking(600) | ({} if display is None else {"display": display})
    events = await get_stream(served, COUNTS, thinking=thinking)
    deltas = get_deltas(events)
    increments = [delta["estimated_tokens"] for delta in deltas]
    assert len(increments) > 50
    assert all(increment > 0 for increment in increments)
    assert sum(increments) == count_thinking_tokens(events)
    assert {delta["thinking"] for delta in deltas} == {""}
    assert all(set(delta) == {"type", "thinking", "estimated_tokens"} for delta in deltas)


@pytest.mark.parametrize("headers", [{}, {"anthropic-beta": "interleaved-thinking-2025-05-14"}])
@pytest.mark.parametrize("display", ["omitted", "summarized"])
async def test_without_the_beta_there_is_no_estimate(
    serve: Serve, headers: dict[str, str], display: str
) -> None:
    served = serve(wants(SCRIPT), max_model_len=4096)
    events = await get_stream(served, headers, thinking=make_thinking(600, display=display))
    deltas = get_deltas(events)
    assert bool(deltas) == (display == "summarized")
    assert not any("estimated_tokens" in delta for delta in deltas)


async def test_a_shown_thought_has_no_count(serve: Serve) -> None:
    served = serve(wants(SCRIPT), max_model_len=4096)
    events = await get_stream(served, COUNTS, thinking=make_thinking(600, display="summarized"))
    deltas = get_deltas(events)
    assert "".join(delta["thinking"] for delta in deltas) == THOUGHT
    assert {delta["estimated_tokens"] for delta in deltas} == {None}
    assert all(BetaThinkingDelta.model_validate(delta) for delta in deltas)


async def test_without_a_thinking_block_there_is_none(serve: Serve) -> None:
    served = serve(wants(SCRIPT), max_model_len=4096)
    events = await get_stream(served, COUNTS, max_thinking_tokens=600)
    assert not get_deltas(events)
    assert count_thinking_tokens(events)


async def test_each_block_has_its_own_tokens(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(wants(5 * "one two three "), profile, max_model_len=4096)
    set_clock(served, 0.1)
    fields = {"thinking": make_thinking(200), "thinking_options": GATE}
    events = await get_stream(served, COUNTS, **fields)
    counted = [
        (event["index"], event["delta"]["estimated_tokens"])
        for event in events
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "thinking_delta"
    ]
    sums = [sum(n for _, n in block) for _, block in groupby(counted, lambda pair: pair[0])]
    assert len(sums) > 1
    assert all(total <= 20 for total in sums)
    assert sum(sums) == count_thinking_tokens(events)


async def test_a_caller_who_may_not_see_thoughts_is_told_too_in_a_block_without_text(
    serve: Serve,
) -> None:
    served = serve(wants(SCRIPT), max_model_len=4096, show_thoughts=False)
    asked: dict[str, Any] = {"thinking": make_thinking(600)}
    events = await get_stream(served, COUNTS, **asked)
    increments = [delta["estimated_tokens"] for delta in get_deltas(events)]
    assert sum(increments) == count_thinking_tokens(events) > 0
    without = await get_stream(served, {}, **asked)
    kinds = [
        [event["content_block"]["type"] for event in each if "content_block" in event]
        for each in (events, without)
    ]
    assert kinds == [["thinking", "text"], ["redacted_thinking", "text"]]
    # What is sealed is taken back all the same.
    (signature,) = [
        event["delta"]["signature"]
        for event in events
        if event.get("delta", {}).get("type") == "signature_delta"
    ]
    block = {"type": "thinking", "thinking": "", "signature": signature}
    history = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": [block, {"type": "text", "text": ANSWER}]},
        {"role": "user", "content": "Sure?"},
    ]
    response = await served.http.post(PATH, json=make_body(messages=history))
    assert response.status_code == 200
    assert "x-ignored-fields" not in response.headers


async def test_what_is_not_streamed_is_as_without_the_beta(serve: Serve) -> None:
    served = serve(wants(SCRIPT), max_model_len=4096, show_thoughts=False)
    asked = make_body(thinking=make_thinking(600), max_tokens=800)
    message = (await served.http.post(PATH, json=asked, headers=COUNTS)).json()
    assert [block["type"] for block in message["content"]] == ["redacted_thinking", "text"]


async def test_the_clients_stream_helpers_read_it(serve: Serve, connect: Connect) -> None:
    client = connect(serve(wants(SCRIPT), max_model_len=4096))
    arguments = make_arguments(thinking=make_thinking(600, display="omitted"), max_tokens=800)
    counted = 0
    async with client.beta.messages.stream(**arguments, betas=[BETA]) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "thinking_delta":
                counted += event.delta.estimated_tokens or 0
        message = await stream.get_final_message()
    assert message.usage.output_tokens_details is not None
    assert counted == message.usage.output_tokens_details.thinking_tokens > 0
    assert [block.type for block in message.content] == ["thinking", "text"]
    async with client.messages.stream(**arguments, extra_headers=COUNTS) as plain:
        final = await plain.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[1].text == ANSWER  # type: ignore[union-attr]


async def test_claude_code_is_told(serve: Serve) -> None:
    served = serve(wants(SCRIPT), max_model_len=8192)
    body = make_body(**{**CLAUDE_CODE, "max_tokens": 2000})
    response = await served.http.post(f"{PATH}?beta=true", json=body, headers=CLAUDE_CODE_HEADERS)
    assert response.status_code == 200, response.text
    events = read_events(response.text)
    increments = [delta["estimated_tokens"] for delta in get_deltas(events)]
    assert sum(increments) == count_thinking_tokens(events) > 0
