"""Laws of a budget on text prompts: the real sampler, a tiny model."""

import asyncio
from typing import Any

import pytest

from server.api.openai.completions.protocol import DEFAULT_ANSWER_TOKENS
from server.engine.scripted_model import RandomLogits
from tests.server.api.openai.chat.test_chat_laws import check_receipt
from tests.server.api.openai.completions.requests import (
    PATH,
    PROMPT,
    complete,
    get_events,
    get_refusal,
    make_body,
    post,
    remove_times,
    stream,
)
from tests.server.conftest import (
    MARKER_TEXTS,
    PROFILES,
    TOKENIZER,
    VOCAB_SIZE,
    Serve,
    ids,
    make_profile,
    wants,
)
from tests.server.engine.test_engine_failures import Caller, wait_until_running
from thinking.markers.profile import MarkerProfile, Opening

PROMPTS = [PROMPT, "One, two,", "\N{SNOWMAN}"]


@pytest.mark.parametrize("num_choices", [1, 2])
@pytest.mark.parametrize("budget", [0, 3, 30, None])
async def test_budget_is_never_exceeded_and_tokens_of_all_prompts_add_up(
    serve: Serve, profile: MarkerProfile, budget: int | None, num_choices: int
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    fields: dict[str, Any] = {
        "prompt": PROMPTS,
        "n": num_choices,
        "seed": 3,
        "temperature": 1,
        "max_tokens": 60,
        "max_thinking_tokens": budget,
        "logprobs": 1,
    }
    reply = await complete(served, **fields)
    choices, counts = reply["choices"], reply["usage"]
    assert [choice["index"] for choice in choices] == list(range(len(PROMPTS) * num_choices))
    used = sum(choice["thinking"]["used"] for choice in choices)
    assert counts["completion_tokens_details"]["reasoning_tokens"] == used
    num_answer = sum(len(choice["logprobs"]["tokens"]) for choice in choices)
    assert counts["completion_tokens"] == used + num_answer
    assert counts["prompt_tokens"] == sum(len(ids(prompt)) for prompt in PROMPTS)
    for choice in choices:
        check_receipt(choice["thinking"], budget)
        assert not any(marker in choice["text"] for marker in MARKER_TEXTS)
        assert "reasoning" not in choice

    # The same seed, streamed: the same texts, receipts and counts.
    again = await stream(served, **fields)
    assert remove_times(again["choices"]) == remove_times(choices)
    assert again["usage"] == counts


async def test_a_text_opens_no_thought_so_the_server_does(
    serve: Serve, profile: MarkerProfile
) -> None:
    end = TOKENIZER.decode(profile.end_token_ids)
    served = serve(wants(f"hm{end}fine"), profile)
    reply = await complete(served, max_tokens=200, max_thinking_tokens=100, include_reasoning=True)
    (choice,) = reply["choices"]
    assert choice["text"] == "fine"
    # The shown thought does not include the markers.
    primer = TOKENIZER.decode(profile.primer_token_ids)
    assert choice["reasoning"] == choice["reasoning_content"] == f"{primer}hm"
    request = served.engine.last_request
    assert request is not None
    start = profile.start_token_ids
    assert request.plan.script[: len(start)] == start
    assert tuple(request.prompt_token_ids) == ids(PROMPT)
    (choice,) = (await stream(served, max_tokens=200, include_reasoning=True))["choices"]
    assert choice["reasoning"] == choice["reasoning_content"] == f"{primer}hm"


async def test_with_budget_0_the_model_sees_the_text_and_nothing_else(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(wants("fine"), profile)
    reply = await complete(served, max_thinking_tokens=0)
    assert reply["choices"][0]["text"] == "fine"
    request = served.engine.last_request
    assert request is not None
    assert tuple(request.prompt_token_ids) == ids(PROMPT)
    assert not request.plan.thinks


@pytest.mark.parametrize("budget", [0, 40])
async def test_without_max_tokens_the_answer_has_openais_16_and_the_thought_its_own(
    serve: Serve, profile: MarkerProfile, budget: int
) -> None:
    end = TOKENIZER.decode(profile.end_token_ids)
    thought = f"h{end}" if budget else ""
    served = serve(wants(thought + "xyzuvw" * 50), profile)
    for ask in (complete, stream):
        reply = await ask(served, max_thinking_tokens=budget)
        (choice,) = reply["choices"]
        assert choice["finish_reason"] == "length"
        num_answer = reply["usage"]["completion_tokens"] - choice["thinking"]["used"]
        assert num_answer == len(choice["text"]) == DEFAULT_ANSWER_TOKENS
        assert choice["thinking"]["budget"] == budget
        assert bool(choice["thinking"]["used"]) == bool(budget)
    assert served.engine.num_running == 0


async def test_a_larger_answer_reserve_is_the_limit_where_there_is_no_other(serve: Serve) -> None:
    served = serve(wants("</think>" + "xyzuvw" * 50))
    reply = await complete(served, thinking_options={"answer_reserve": 40})
    assert len(reply["choices"][0]["text"]) == 40


async def test_max_tokens_holds_for_thought_and_answer(serve: Serve) -> None:
    served = serve(wants("xyzuvw" * 50))
    reply = await complete(served, max_tokens=20)
    assert reply["usage"]["completion_tokens"] == 20
    receipt = reply["choices"][0]["thinking"]
    assert receipt["budget"] == 15
    assert receipt["limited_by"] == "max_completion_tokens"


async def test_a_control_token_in_a_text_is_text_and_an_id_is_what_it_is(serve: Serve) -> None:
    served = serve(wants("ok"))
    typed = "a</think><|im_end|>"
    await complete(served, prompt=typed, max_thinking_tokens=0)
    request = served.engine.last_request
    assert request is not None
    as_text = TOKENIZER.encode(typed, split_special_tokens=True)
    assert list(request.prompt_token_ids) == as_text
    await complete(served, prompt=list(ids(typed)), max_thinking_tokens=0)
    request = served.engine.last_request
    assert request is not None
    assert tuple(request.prompt_token_ids) == ids(typed)


async def test_an_empty_prompt_begins_a_text(serve: Serve) -> None:
    served = serve(wants("ok"))
    for fields in ({"prompt": ""}, {"prompt": None}):
        reply = await complete(served, max_thinking_tokens=0, echo=True, **fields)
        assert reply["choices"][0]["text"] == "ok"
        request = served.engine.last_request
        assert request is not None
        assert tuple(request.prompt_token_ids) == ids("<|im_end|>")
    error = await get_refusal(served, prompt="", add_special_tokens=False)
    assert error["param"] == "prompt"


async def test_stops_see_the_answer_only(serve: Serve) -> None:
    served = serve(wants("a STOP z in the thought</think>one STOP two z"))
    for ask in (complete, stream):
        reply = await ask(served, max_tokens=200, stop="STOP", logprobs=0)
        (choice,) = reply["choices"]
        assert (choice["text"], choice["finish_reason"]) == ("one ", "stop")
        assert "".join(choice["logprobs"]["tokens"]) == "one "
        reply = await ask(served, max_tokens=200, stop_token_ids=list(ids("z")), logprobs=0)
        (choice,) = reply["choices"]
        assert (choice["text"], choice["finish_reason"]) == ("one STOP two ", "stop")
        # The token that ends an answer is one of its tokens, without text.
        assert "".join(choice["logprobs"]["tokens"]) == "one STOP two z"
    assert served.engine.num_running == 0


async def test_chat_knows_stop_token_ids_too(serve: Serve) -> None:
    served = serve(wants("z in the thought</think>one z two"))
    reply = await served.chat(temperature=0, stop_token_ids=list(ids("z")))
    (choice,) = reply.json()["choices"]
    assert choice["message"]["content"] == "one "
    assert choice["finish_reason"] == "stop"


async def test_ignore_eos_fills_the_answer(serve: Serve) -> None:
    served = serve(wants("</think>ok"))
    reply = await complete(served, ignore_eos=True)
    assert reply["choices"][0]["text"] == "ok"
    assert reply["choices"][0]["finish_reason"] == "length"
    num_answer = reply["usage"]["completion_tokens"] - reply["choices"][0]["thinking"]["used"]
    assert num_answer == DEFAULT_ANSWER_TOKENS


async def test_min_tokens_and_allowed_tokens_hold_where_nothing_is_thought(serve: Serve) -> None:
    served = serve(wants("ok"))
    reply = await complete(served, max_thinking_tokens=0, min_tokens=9)
    assert reply["usage"]["completion_tokens"] >= 9
    allowed = list(ids("xy"))
    reply = await complete(served, max_thinking_tokens=0, allowed_token_ids=allowed)
    assert set(reply["choices"][0]["text"]) <= {"x", "y"}
    for field, value in (("min_tokens", 3), ("allowed_token_ids", allowed)):
        error = await get_refusal(served, **{field: value})
        assert error["param"] == field
        assert "max_thinking_tokens" in error["message"]


async def test_a_search_without_a_judge_works_on_a_text(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    strategy = {"name": "best_of", "n": 3}
    reply = await complete(
        served,
        temperature=1,
        seed=1,
        max_tokens=300,
        max_thinking_tokens=200,
        thinking_options={"strategy": strategy},
    )
    receipt = reply["choices"][0]["thinking"]
    assert receipt["strategy"] == "best_of"
    assert 0 < receipt["used"] <= 200


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("budget", [0, 50_000])
async def test_leaving_aborts_every_prompt(serve: Serve, is_streamed: bool, budget: int) -> None:
    served = serve(wants("z" * 100_000), max_model_len=100_000)
    body = make_body(
        prompt=["a", "b", "c"],
        n=2,
        max_tokens=90_000,
        max_thinking_tokens=budget,
        thinking_options={"loop_guard": {"enabled": False}},
        stream=is_streamed,
    )
    caller = Caller(served.app, PATH, body)
    await wait_until_running(served.engine, 6)
    caller.leave()
    await asyncio.wait_for(caller.task, 10)
    assert served.engine.num_running == 0


async def test_one_prompt_that_fails_fails_all(serve: Serve) -> None:
    """A prompt that does not fit is found before any other is answered."""
    served = serve(wants("ok"), max_model_len=64)
    error = await get_refusal(served, prompt=["a", "b" * 64])
    assert error["param"] == "prompt[1]"
    assert error["code"] == "context_length_exceeded"
    assert served.engine.num_generated == 0


async def test_a_dying_engine_ends_the_stream_with_an_error(serve: Serve) -> None:
    served = serve(wants("z" * 10_000), max_model_len=20_000)
    body = make_body(prompt=["a", "b"], max_tokens=10_000, max_thinking_tokens=0, stream=True)
    caller = Caller(served.app, PATH, body)
    await caller.read_until('"text":"z')
    served.engine.kill()
    assert "engine_dead" in await caller.read_until("engine_dead")
    await asyncio.wait_for(caller.task, 10)


async def test_thought_is_403_where_not_allowed(serve: Serve) -> None:
    served = serve(wants("secret</think>shown"), show_thoughts=False)
    refused = await post(served, include_reasoning=True)
    assert refused.status_code == 403
    assert "secret" not in (await post(served, max_tokens=90)).text


async def test_every_dialect_is_read_here_too(serve: Serve) -> None:
    served = serve(wants("hm</think>fine"))
    for fields in ({"reasoning": {"max_tokens": 9}}, {"thinking_token_budget": 9}):
        receipt = (await complete(served, **fields))["choices"][0]["thinking"]
        assert receipt["requested"] == 9


async def test_real_client_reads_it_all(serve: Serve) -> None:
    served = serve(wants("hm</think>fine ✓ 👍"))
    create = served.openai.completions.create
    reply = await create(
        model="scripted",
        prompt=["hi", "there"],
        temperature=0,
        logprobs=2,
        extra_body={"max_thinking_tokens": 20, "include_reasoning": True},
    )
    assert [choice.text for choice in reply.choices] == ["fine ✓ 👍"] * 2
    assert reply.choices[0].logprobs is not None
    assert reply.choices[0].logprobs.text_offset is not None
    assert reply.choices[0].model_dump()["reasoning"] == "hm"
    assert reply.usage is not None
    assert reply.usage.completion_tokens_details is not None
    assert reply.usage.completion_tokens_details.reasoning_tokens == sum(
        choice.model_dump()["thinking"]["used"] for choice in reply.choices
    )
    stream = await create(
        model="scripted", prompt="hi", temperature=0, stream=True, max_tokens=50, echo=True
    )
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "hifine ✓ 👍"


async def test_a_hidden_thought_is_in_no_event(serve: Serve) -> None:
    served = serve(wants("secret</think>shown"), PROFILES["opened by the prompt"])
    chunks = await get_events(served, max_tokens=90, logprobs=3)
    assert "secret" not in str(chunks)
    assert "think>" not in str([chunk["choices"] for chunk in chunks])


async def test_a_conversation_can_be_continued(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(wants("b"), profile)
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "so a"}]
    fields: dict[str, Any] = {"messages": messages, "temperature": 0, "max_thinking_tokens": 0}
    reply = await served.chat(continue_final_message=True, add_generation_prompt=False, **fields)
    assert reply.json()["choices"][0]["message"]["content"] == "b"
    request = served.engine.last_request
    assert request is not None
    assert TOKENIZER.decode(request.prompt_token_ids).endswith("<|im_start|>assistant\nso a")
    for wrong in (
        {"continue_final_message": True, "add_generation_prompt": True},
        {"add_generation_prompt": False},
        {"continue_final_message": True, "messages": messages[:1]},
    ):
        assert (await served.chat(**fields | wrong)).status_code == 400


@pytest.mark.parametrize("opening", Opening)
async def test_markers_of_several_tokens_open_a_thought_in_a_text_too(
    serve: Serve, opening: Opening
) -> None:
    """Their text is not shown, even if a template would have opened the thought."""
    profile = make_profile("[[think]]", "[[/think]]", opening=opening)
    served = serve(wants("hm[[/think]]fine"), profile)
    reply = await complete(served, max_tokens=90, include_reasoning=True)
    assert reply["choices"][0]["reasoning"] == "hm"
    assert reply["choices"][0]["text"] == "fine"
