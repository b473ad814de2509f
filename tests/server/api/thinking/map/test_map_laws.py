"""Maps on the wire: the values of each token, the counts, and what is hidden."""

import asyncio

import pytest

from server.engine.scripted_model import RandomLogits
from tests.server.api.thinking.map.conftest import (
    ENDLESS,
    MAP,
    TEXT,
    THOUGHT,
    ThinkingLogits,
    count_prompt_tokens,
    get_events,
    get_map,
    make_body,
    post,
)
from tests.server.conftest import (
    PROFILES,
    VOCAB_SIZE,
    Serve,
    ids,
    make_profile,
    wants,
)
from tests.server.engine.test_engine_failures import Caller, wait_until_running
from thinking.markers.profile import MarkerProfile
from thinking.plan import count_marker_tokens

SPECIAL = PROFILES["special markers"]


@pytest.mark.parametrize(
    "text", [TEXT, "x", "naïve 日本 🎉", "a<think>b</think>c<|im_end|>", "So: "]
)
async def test_every_token_of_the_text_has_one_position(
    serve: Serve, profile: MarkerProfile, text: str
) -> None:
    served = serve(ThinkingLogits(profile), profile)
    reply = await get_map(served, text=text)
    positions = reply["positions"]
    assert [position["index"] for position in positions] == list(range(len(positions)))
    pieces = b"".join(bytes(position["bytes"]) for position in positions)
    assert pieces.decode() == text
    for position in positions:
        assert position["token"] == bytes(position["bytes"]).decode("utf-8", "replace")


async def test_logprobs_are_the_models_own_softmax(serve: Serve, profile: MarkerProfile) -> None:
    source = ThinkingLogits(profile)
    reply = await get_map(serve(source, profile))
    opening, prompt = count_prompt_tokens(profile)
    assert len(reply["positions"]) == len(ids(TEXT))
    for index, (position, token_id) in enumerate(zip(reply["positions"], ids(TEXT), strict=True)):
        before = prompt + index
        after = before if index else opening
        without = float(source.compute_logprobs(before, has_thought=False)[token_id])
        with_thought = float(source.compute_logprobs(after, has_thought=True)[token_id])
        assert position["logprob"] == pytest.approx(without, abs=1e-5)
        assert position["logprob_with_thought"] == pytest.approx(with_thought, abs=1e-5)
        assert position["gain"] == pytest.approx(with_thought - without, abs=1e-5)
    for name in ("logprob", "logprob_with_thought", "logprob_mixed", "gain"):
        mean = sum(p[name] for p in reply["positions"]) / len(reply["positions"])
        assert reply[f"mean_{name}"] == pytest.approx(mean)


@pytest.mark.parametrize("temperature", [0, 1])
async def test_a_thought_never_exceeds_its_tokens(
    serve: Serve, profile: MarkerProfile, temperature: float
) -> None:
    least = count_marker_tokens(profile.inside_text) + 1
    for source in (ThinkingLogits(profile, ENDLESS), RandomLogits(VOCAB_SIZE)):
        served = serve(source, profile)
        for most in range(least, least + 4):
            reply = await get_map(served, thought_tokens=most, temperature=temperature)
            assert reply["thought_tokens"] == most
            used = [position["thought_tokens"] for position in reply["positions"]]
            assert 0 < max(used) <= most
            if isinstance(source, ThinkingLogits) and temperature == 0:
                assert set(used[1:]) == {most}


async def test_mix_0_is_without_and_mix_1_is_with_the_thought(serve: Serve) -> None:
    served = serve(ThinkingLogits(SPECIAL))
    reply = await get_map(served, mix=[0, 0.5, 1])
    assert reply["mix"] == [0, 0.5, 1]
    for position in reply["positions"]:
        without, half, with_thought = position["logprob_mixed"]
        assert without == position["logprob"]
        assert with_thought == position["logprob_with_thought"]
        assert half < 0
    alone = await get_map(served, mix=0.5)
    assert alone["mix"] == 0.5
    halves = [position["logprob_mixed"][1] for position in reply["positions"]]
    assert [position["logprob_mixed"] for position in alone["positions"]] == halves
    assert (await get_map(served))["mean_logprob_mixed"] == alone["mean_logprob_mixed"]


async def test_what_is_counted_is_what_was_generated(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(ThinkingLogits(profile), profile)
    reply = await get_map(served, thought_tokens=100)
    used = sum(position["thought_tokens"] for position in reply["positions"])
    num_tokens, usage = len(reply["positions"]), reply["usage"]
    assert usage["prompt_tokens"] == count_prompt_tokens(profile)[1] + num_tokens
    assert usage["completion_tokens_details"]["reasoning_tokens"] == used
    # The text's own token, written twice at each position.
    assert usage["completion_tokens"] == used + 2 * num_tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    metrics = (await served.http.get("/metrics")).text
    assert f"thinking_reasoning_tokens_total {used}.0" in metrics
    assert f"thinking_answer_tokens_total {2 * num_tokens}.0" in metrics
    assert f"thinking_prompt_tokens_total {usage['prompt_tokens']}.0" in metrics
    injected = num_tokens * len(profile.start_token_ids + profile.primer_token_ids)
    if (
        count_prompt_tokens(profile)[0] == count_prompt_tokens(profile)[1]
    ):  # the prompt opens no thought
        assert f"thinking_injected_tokens_total {injected}.0" in metrics


async def test_hidden_stays_hidden_unless_requested_and_allowed(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(ThinkingLogits(profile), profile)
    for stream in (None, True):
        hidden = await post(served, stream=stream)
        assert "q" not in hidden.text.replace("request", "")
        assert "reasoning" not in hidden.text.replace("reasoning_tokens", "")
        fields = {"stream": stream, "thought_tokens": 100}
        shown = await post(served, include_reasoning=True, **fields)
        assert shown.text.count(THOUGHT) >= len(ids(TEXT)) - 1
        assert "think>" not in shown.text
        assert "[[" not in shown.text
    silent = serve(ThinkingLogits(profile), profile, show_thoughts=False)
    refused = await post(silent, include_reasoning=True)
    assert refused.status_code == 403
    assert refused.json()["error"]["param"] == "include_reasoning"
    assert (await post(silent)).status_code == 200


async def test_a_stream_has_the_same_values_as_a_whole_reply(serve: Serve) -> None:
    served = serve(ThinkingLogits(SPECIAL))
    reply = await get_map(served)
    start, *finished, summary = await get_events(served)
    total = len(reply["positions"])
    assert (start["object"], start["done"], start["total"]) == ("thinking.map.start", 0, total)
    assert [event["done"] for event in finished] == list(range(1, total + 1))
    assert {event["object"] for event in finished} == {"thinking.map.position"}
    streamed = sorted((event["position"] for event in finished), key=lambda p: p["index"])
    assert streamed == reply["positions"]
    own = ("id", "created")
    plain = {k: v for k, v in reply.items() if k not in (*own, "positions")}
    assert {k: v for k, v in summary.items() if k not in own} == plain


async def test_the_same_seed_gives_the_same_map(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    first, again, other = [
        (await get_map(served, temperature=1, seed=seed))["positions"] for seed in (-7, -7, 8)
    ]
    assert first == again
    assert first != other


async def test_a_text_without_messages_begins_a_text(serve: Serve) -> None:
    seen: set[tuple[int, ...]] = set()
    source = ThinkingLogits(SPECIAL, watch=lambda prompt: seen.add(tuple(prompt)))
    reply = await get_map(serve(source), messages=None)
    assert min(seen, key=len) == ids("<|im_end|>")  # what ends the text before
    assert max(seen, key=len) == ids("<|im_end|>") + ids(TEXT)[:-1]
    assert len(reply["positions"]) == len(ids(TEXT))


async def test_no_more_requests_run_than_the_operator_allows(serve: Serve) -> None:
    running: list[int] = []
    source = ThinkingLogits(SPECIAL, watch=lambda prompt: running.append(served.engine.num_running))
    served = serve(source, map_concurrency=3)
    await asyncio.gather(*(get_map(served, seed=seed) for seed in range(3)))
    assert max(running) == 3
    assert served.engine.num_running == 0


async def test_a_tool_call_cannot_take_the_place_of_the_text(serve: Serve) -> None:
    profile = make_profile(tool_call_token_ids=ids("~"))
    reply = await get_map(serve(ThinkingLogits(profile, "q~~q"), profile), thought_tokens=8)
    assert len(reply["positions"]) == len(ids(TEXT))


async def test_a_loop_in_a_thought_is_broken(serve: Serve) -> None:
    served = serve(ThinkingLogits(SPECIAL, "z" * 500))
    reply = await get_map(served, text="the", thought_tokens=200)
    assert reply["positions"][-1]["stop"] == "loop"
    assert reply["positions"][-1]["thought_tokens"] < 100


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_leaving_aborts_every_request_and_what_was_generated_is_counted(
    serve: Serve, is_streamed: bool
) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    caller = Caller(
        served.app,
        MAP,
        **make_body(stream=is_streamed, text="the hill is on", thought_tokens=50_000),
    )
    await wait_until_running(served.engine, len(ids("the hill is on")))
    caller.leave()
    await asyncio.wait_for(caller.task, 10)
    assert served.engine.num_running == 0
    metrics = (await served.http.get("/metrics")).text
    assert "thinking_reasoning_tokens_total 0.0" not in metrics
    assert "thinking_answer_tokens_total 1.0" not in metrics
    assert (await get_map(serve(ThinkingLogits(SPECIAL))))["positions"]


async def test_a_silent_stream_is_kept_alive_and_says_at_once_how_long_it_is(serve: Serve) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000, keep_alive_seconds=0.02)
    body = make_body(stream=True, text="the hill is on", thought_tokens=50_000)
    caller = Caller(served.app, MAP, **body)
    first = await caller.read_until(": keep-alive\n")
    assert '"done":0,"total":' in first
    caller.leave()
    await asyncio.wait_for(caller.task, 10)


async def test_a_dead_engine_is_reported(serve: Serve) -> None:
    for is_streamed in (False, True):
        served = serve(wants(ENDLESS), max_model_len=100_000)
        asked = post(served, text="the hill", thought_tokens=50_000, stream=is_streamed)
        asking = asyncio.create_task(asked)
        await wait_until_running(served.engine, len(ids("the hill")))
        served.engine.kill()
        reply = await asyncio.wait_for(asking, 10)
        assert reply.status_code == (200 if is_streamed else 503)
        assert '"code":"engine_dead"' in reply.text
        assert "[DONE]" not in reply.text
