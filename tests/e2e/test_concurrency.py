"""Many clients at once, some of whom leave: nobody gets another's tokens, nothing stays behind.

Each client biases its own token so strongly that its thought and its answer hold nothing
else: a single foreign token would show.
"""

import asyncio
import re
from typing import Any

import psutil
import pytest
from openai import AsyncOpenAI
from transformers import AutoTokenizer

from server.hub.model_resolution import resolve_model
from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

NUM_CLIENTS = 32
WORDS = (
    " apple bread chair dance eagle fruit grass house island juice knife lemon music night "
    "ocean paper queen river stone table under voice water young zebra blue green happy "
    "little money north plant"
).split()


def own_token(tokenizer: Any, word: str) -> int:
    (token_id,) = tokenizer.encode(f" {word}", add_special_tokens=False)
    return int(token_id)


async def converse(client: AsyncOpenAI, word: str, token_id: int, *, leave: bool) -> str:
    """Stream one reply; a client that leaves hangs up after its first content."""
    stream = await client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": f"Say {word}."}],
        max_completion_tokens=48,
        stream=True,
        logit_bias={str(token_id): 100},
        extra_body={"max_thinking_tokens": 24, "include_reasoning": True},
    )
    text = ""
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            text += (choice.delta.model_extra or {}).get("reasoning") or ""
        if leave and text:
            await stream.close()
            break
    return text


def running_requests(metrics: str) -> float:
    return sum(float(v) for v in re.findall(r"^vllm:num_requests_running\S* (\S+)$", metrics, re.M))


def memory_of(pid: int) -> int:
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])


async def wait_idle(server: Server) -> None:
    for _ in range(100):
        if running_requests(await server.get_text("/metrics")) == 0:
            return
        await asyncio.sleep(0.2)  # bounded poll of another process
    pytest.fail("requests still run in the engine")


async def test_no_client_gets_anothers_tokens_and_hang_ups_leave_nothing(server: Server) -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)
    words = WORDS[:NUM_CLIENTS]
    tokens = [own_token(tokenizer, word) for word in words]

    async def crowd() -> list[str]:
        base_url = f"{server.base_url}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
            return await asyncio.gather(
                *(
                    converse(client, word, token, leave=index % 3 == 0)
                    for index, (word, token) in enumerate(zip(words, tokens, strict=True))
                )
            )

    await crowd()  # buffers and caches take their size
    await wait_idle(server)
    before = memory_of(server.pid)
    for _ in range(2):
        texts = await crowd()
        await wait_idle(server)
        for word, text in zip(words, texts, strict=True):
            others = [other for other in words if other != word and f" {other}" in text]
            assert f" {word}" in text
            assert not others
    assert memory_of(server.pid) <= before * 1.03 + 64 * 2**20
