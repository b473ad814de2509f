"""``/v1/responses`` on the real engine, with OpenAI's own client."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from tests.e2e.process import Server
from tests.server.api.openai.responses.folding import fold, without_ids

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m-instruct"
QUESTION = "Anna has 3 apples and buys 4 more. How many apples has she now?"
BODY: dict[str, Any] = {
    "model": MODEL,
    "input": QUESTION,
    "max_output_tokens": 96,
    "temperature": 0,
}
MARKERS = ("startofthought", "endofthought")


class Apples(BaseModel):
    count: int


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    base_url = f"{server.base_url}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as opened:
        yield opened


async def respond(server: Server, **fields: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as http:
        response = await http.post("/v1/responses", json=BODY | fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def events(server: Server, **fields: Any) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as http:
        response = await http.post("/v1/responses", json=BODY | {"stream": True} | fields)
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("budget", [0, 8, 40])
@pytest.mark.parametrize("shown", [False, True])
async def test_a_streamed_response_is_the_whole_one_within_its_budget(
    server: Server, budget: int, shown: bool
) -> None:
    fields = {"max_thinking_tokens": budget, "include_reasoning": shown}
    # A prompt from the cache gives slightly other logits than one that is computed whole, which
    # decides between tokens that are about equally likely. So both find it there.
    await respond(server, **fields)
    whole = await respond(server, **fields)
    streamed = fold(await events(server, **fields))
    assert without_ids(streamed["output"]) == without_ids(whole["output"])
    usage = whole["usage"]
    assert streamed["usage"] == usage
    num_reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    assert num_reasoning == whole["thinking"]["used"] <= budget
    assert num_reasoning < usage["output_tokens"] <= BODY["max_output_tokens"]
    assert Response.model_validate(whole, strict=True).output_text
    assert not any(marker in json.dumps(whole["output"]) for marker in MARKERS)


async def test_the_clients_stream_gives_a_model_s_object(client: AsyncOpenAI) -> None:
    async with client.responses.stream(
        model=MODEL,
        input=QUESTION,
        text_format=Apples,
        max_output_tokens=96,
        reasoning={"effort": "low", "summary": "auto"},
        extra_body={"max_thinking_tokens": 30},
    ) as stream:
        final = await stream.get_final_response()
    assert isinstance(final.output_parsed, Apples)
    assert final.output[0].type == "reasoning"
    assert final.output[0].summary[0].text


async def test_a_conversation_goes_on_with_and_without_the_store(client: AsyncOpenAI) -> None:
    first = await client.responses.create(
        model=MODEL,
        input=QUESTION,
        max_output_tokens=96,
        include=["reasoning.encrypted_content"],
        extra_body={"max_thinking_tokens": 30},
    )
    following: dict[str, Any] = {
        "model": MODEL,
        "max_output_tokens": 32,
        "extra_body": {"max_thinking_tokens": 0},
    }
    question: Any = {"role": "user", "content": "And if she eats one?"}
    by_id = await client.responses.create(
        input=[question], previous_response_id=first.id, **following
    )
    items: list[Any] = [{"role": "user", "content": QUESTION}, *first.output, question]
    by_items = await client.responses.create(input=items, store=False, **following)
    assert by_id.usage is not None
    assert by_items.usage is not None
    assert by_id.usage.input_tokens == by_items.usage.input_tokens

    thought: Any = first.output[0].to_dict()
    thought["encrypted_content"] = str(thought["encrypted_content"])[:-12] + "AAAAAAAAAAA="
    # Left out and named: what cannot be opened may be another server's.
    raw = await client.responses.with_raw_response.create(input=[thought, *items[2:]], **following)
    assert "input[0]" in raw.headers["x-ignored-fields"]
