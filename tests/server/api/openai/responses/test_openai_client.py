"""OpenAI's own Python client, against the endpoint."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

from tests.server.api.openai.responses.test_responses_laws import ANSWER, SCRIPT, THOUGHT
from tests.server.conftest import MODEL, Serve, wants
from tests.server.engine.test_engine_failures import wait_until_running


class Sum(BaseModel):
    total: int


async def test_create_and_its_text(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    response = await served.openai.responses.create(
        model=MODEL, input="How many?", temperature=0, reasoning={"effort": "low"}
    )
    assert response.output_text == ANSWER
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    assert response.reasoning is not None
    assert response.reasoning.effort == "low"


async def test_its_stream_helper_agrees_with_the_last_event(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    async with served.openai.responses.stream(
        model=MODEL, input="How many?", temperature=0, reasoning={"summary": "auto"}
    ) as stream:
        thought = text = ""
        async for event in stream:
            if event.type == "response.reasoning_summary_text.delta":
                thought += event.delta
            if event.type == "response.output_text.delta":
                text += event.delta
                assert event.snapshot == text
        final = await stream.get_final_response()
    assert (thought, text) == (THOUGHT, ANSWER)
    assert final.output_text == ANSWER
    assert [item.type for item in final.output] == ["reasoning", "message"]


async def test_parse_gives_the_models_object(serve: Serve) -> None:
    served = serve(wants('Adding.</think>{"total": 4}'))
    parsed = await served.openai.responses.parse(
        model=MODEL, input="How many?", temperature=0, text_format=Sum
    )
    assert parsed.output_parsed == Sum(total=4)
    async with served.openai.responses.stream(
        model=MODEL, input="How many?", temperature=0, text_format=Sum
    ) as stream:
        final = await stream.get_final_response()
    assert final.output_parsed == Sum(total=4)
    again = [{"role": "user", "content": "a"}, *parsed.output, {"role": "user", "content": "b"}]
    response = await served.openai.responses.create(model=MODEL, input=again)  # type: ignore[arg-type]
    assert response.status in ("completed", "incomplete")


async def test_a_conversation_without_a_store(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    context: list[object] = [{"role": "user", "content": "How many?"}]
    for _ in range(2):
        response = await served.openai.responses.create(
            model=MODEL,
            input=context,  # type: ignore[arg-type]
            temperature=0,
            store=False,
            include=["reasoning.encrypted_content"],
        )
        context += [*response.output, {"role": "user", "content": "And now?"}]
    assert response.output_text == ANSWER


async def test_a_conversation_in_the_store(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    client = served.openai.responses
    first = await client.create(model=MODEL, input="How many?", temperature=0)
    second = await client.create(
        model=MODEL, input="And now?", temperature=0, previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert (await client.retrieve(first.id)).output_text == ANSWER
    items = [item async for item in client.input_items.list(second.id)]
    assert [item.type for item in items] == ["message"]
    await client.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.retrieve(first.id)
    third = await client.create(model=MODEL, input="Well?", previous_response_id=second.id)
    assert third.id != second.id  # it has its own copy of what was said


async def test_its_stream_raises_if_the_engine_dies(serve: Serve) -> None:
    served = serve(wants("z" * 100_000), max_model_len=100_000)
    seen: list[str] = []

    async def read() -> None:
        stream = await served.openai.responses.create(
            model=MODEL, input="a", temperature=0, stream=True, extra_body={"think": False}
        )
        async for event in stream:
            seen.append(event.type)

    reading = asyncio.create_task(read())
    await wait_until_running(served.engine, 1)
    served.engine.kill()
    with pytest.raises(openai.APIError, match="engine has died"):
        await reading
    assert "response.failed" not in seen  # it comes after the error, at which the client raises


async def test_errors_name_the_field(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    with pytest.raises(openai.BadRequestError) as caught:
        await served.openai.responses.create(
            model=MODEL, input="a", previous_response_id="resp_none"
        )
    assert caught.value.code == "previous_response_not_found"
    assert json.loads(caught.value.response.text)["error"]["param"] == "previous_response_id"
