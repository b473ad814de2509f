"""Text completions and tokens by the real engine and the real client."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m-instruct"
PROMPT = "The capital of France is"
MESSAGES = [{"role": "user", "content": "Name three colours."}]


@pytest_asyncio.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        api_key="none", base_url=f"{server.base_url}/v1", timeout=120, max_retries=0
    ) as made:
        yield made


async def post(server: Server, path: str, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as http:
        response = await http.post(path, json={"model": MODEL, **body})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def complete(
    client: AsyncOpenAI, budget: int, extra: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    reply = await client.completions.create(
        **{"model": MODEL, "prompt": PROMPT, "temperature": 0, **fields},
        extra_body={"max_thinking_tokens": budget, **(extra or {})},
    )
    dumped: dict[str, Any] = reply.model_dump()
    return dumped


async def test_a_conversations_tokens_are_gone_on_with_as_the_chat_would(
    server: Server, client: AsyncOpenAI
) -> None:
    tokens = (await post(server, "/tokenize", messages=MESSAGES))["tokens"]
    fields: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
    chat = await post(
        server, "/v1/chat/completions", messages=MESSAGES, max_thinking_tokens=0, **fields
    )
    reply = await complete(client, 0, prompt=tokens, **fields)
    assert reply["choices"][0]["text"] == chat["choices"][0]["message"]["content"]
    assert reply["usage"]["prompt_tokens"] == chat["usage"]["prompt_tokens"] == len(tokens)


async def test_what_was_written_is_measured_as_it_was_written(client: AsyncOpenAI) -> None:
    """Its log-probabilities are the same, sampled and as a prompt."""
    story = "Once upon a time, there was a little girl who"  # as it goes on, in whole words
    written = await complete(client, 0, prompt=story, max_tokens=12, logprobs=1)
    (choice,) = written["choices"]
    text = story + choice["text"]
    measured = await complete(client, 0, prompt=text, echo=True, max_tokens=0, logprobs=1)
    lists = measured["choices"][0]["logprobs"]
    assert measured["choices"][0]["text"] == text == "".join(lists["tokens"])
    first, *logprobs = lists["token_logprobs"]
    assert first is None
    assert math.isfinite(sum(logprobs))
    assert max(logprobs) <= 0
    assert lists["tokens"][-12:] == choice["logprobs"]["tokens"]
    assert logprobs[-12:] == pytest.approx(choice["logprobs"]["token_logprobs"], abs=0.1)
    for token, offset in zip(lists["tokens"], lists["text_offset"], strict=True):
        assert text[offset : offset + len(token)] == token


async def test_budgets_are_kept_for_every_prompt_streamed_or_not(client: AsyncOpenAI) -> None:
    prompts = [PROMPT, "One, two, three,", "Once upon a time"]
    for budget in (0, 32, 64):
        fields: dict[str, Any] = {"prompt": prompts, "n": 2, "seed": 5, "temperature": 1}
        reply = await complete(client, budget, **fields)
        used = [choice["thinking"]["used"] for choice in reply["choices"]]
        assert len(used) == 6
        assert max(used) <= budget
        assert (max(used) > 0) == (budget > 0)
        details = reply["usage"]["completion_tokens_details"]
        assert details["reasoning_tokens"] == sum(used)
        # OpenAI's default for the answer, whatever was thought.
        assert reply["usage"]["completion_tokens"] - sum(used) <= 6 * 16
        assert all(choice["text"] for choice in reply["choices"])
        stream = await client.completions.create(
            model=MODEL, stream=True, extra_body={"max_thinking_tokens": budget}, **fields
        )
        texts = [""] * 6
        async for chunk in stream:
            for piece in chunk.choices:
                texts[piece.index] += piece.text
        assert texts == [choice["text"] for choice in reply["choices"]]


async def test_a_text_with_a_space_before_its_first_word_keeps_it(client: AsyncOpenAI) -> None:
    reply = await complete(client, 0, max_tokens=3)
    assert reply["choices"][0]["text"].startswith(" ")


async def test_bounds_of_vllm_hold_for_the_answer(client: AsyncOpenAI) -> None:
    ended = await complete(client, 0, extra={"ignore_eos": True}, max_tokens=40)
    assert ended["usage"]["completion_tokens"] == 40
    long = await complete(client, 0, extra={"min_tokens": 30}, max_tokens=30)
    assert long["usage"]["completion_tokens"] == 30
    thought = await complete(client, 64, extra={"ignore_eos": True})
    used = thought["choices"][0]["thinking"]["used"]
    assert 0 < used <= 64
    assert thought["usage"]["completion_tokens"] == used + 16


async def test_many_prompts_are_measured_at_once(server: Server, client: AsyncOpenAI) -> None:
    texts = [f"{PROMPT} {word}." for word in ("Paris", "Rome", "cheese", "x")]
    ids = await asyncio.gather(*(post(server, "/tokenize", prompt=text) for text in texts))
    reply = await complete(
        client, 0, prompt=[entry["tokens"] for entry in ids], echo=True, max_tokens=1, logprobs=1
    )
    sums = [sum(choice["logprobs"]["token_logprobs"][1:-1]) for choice in reply["choices"]]
    lengths = [len(choice["logprobs"]["tokens"]) for choice in reply["choices"]]
    assert lengths == [entry["count"] + 1 for entry in ids]
    assert sums[0] == max(sums), "Paris is likelier than cheese"


async def test_tokens_survive_the_way_there_and_back(server: Server) -> None:
    for text in ("Hello,  world\n", "naïve ☃ 👍", "<|im_end|> is typed", ""):
        tokens = (await post(server, "/tokenize", prompt=text))["tokens"]
        assert (await post(server, "/detokenize", tokens=tokens))["prompt"] == text
        again = (await post(server, "/tokenize", prompt=text, return_token_strs=True))["tokens"]
        assert again == tokens
