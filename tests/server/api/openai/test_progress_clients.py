"""OpenAI's own client reads streams with the progress of a thought, and loses nothing else."""

from typing import Any

import pytest

from tests.server.conftest import MODEL, Serve, wants

THOUGHT = "Two and two."
ANSWER = "It is four."
SCRIPT = f"{THOUGHT}</think>{ANSWER}"
# Fields that OpenAI's API does not have go into the client's extra body.
ASKING: dict[str, Any] = {"extra_body": {"max_thinking_tokens": 60}, "temperature": 0}
OPTIONS: Any = {"include_usage": True, "include_thinking_progress": True}


@pytest.mark.parametrize("num_choices", [1, 3])
async def test_its_chat_stream_helper(serve: Serve, num_choices: int) -> None:
    served = serve(wants(SCRIPT))
    told: dict[int, list[int]] = {index: [] for index in range(num_choices)}
    async with served.openai.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "How many?"}],
        stream_options=OPTIONS,
        n=num_choices,
        **ASKING,
    ) as stream:
        async for event in stream:
            if event.type == "chunk":
                for choice in event.chunk.choices:
                    if choice.finish_reason is None and "thinking" in (choice.model_extra or {}):
                        told[choice.index].append(choice.model_dump()["thinking"]["used"])
        final = await stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == [ANSWER] * num_choices
    assert final.usage is not None
    assert final.usage.completion_tokens_details is not None
    used = [counts[-1] for counts in told.values()]
    assert sum(used) == final.usage.completion_tokens_details.reasoning_tokens


async def test_its_chat_stream(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    chunks = await served.openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "How many?"}],
        stream=True,
        stream_options=OPTIONS,
        **ASKING,
    )
    text = ""
    async for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == ANSWER


async def test_its_completions_stream(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    chunks = await served.openai.completions.create(
        model=MODEL, prompt="How many?", stream=True, stream_options=OPTIONS, **ASKING
    )
    text = ""
    async for chunk in chunks:
        for choice in chunk.choices:
            text += choice.text
    assert text == ANSWER


async def test_its_responses_stream_helper(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    told: list[int] = []
    numbers: list[int] = []
    async with served.openai.responses.stream(
        model=MODEL, input="How many?", stream_options=OPTIONS, **ASKING
    ) as stream:
        async for event in stream:
            numbers.append(event.sequence_number)
            if str(event.type) == "response.thinking.progress":
                told.append(event.model_dump()["thinking"]["used"])
        final = await stream.get_final_response()
    assert final.output_text == ANSWER
    assert final.usage is not None
    assert told
    assert told[-1] == final.usage.output_tokens_details.reasoning_tokens
    assert numbers == list(range(len(numbers)))


async def test_its_responses_stream(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    events = await served.openai.responses.create(
        model=MODEL, input="How many?", stream=True, stream_options=OPTIONS, **ASKING
    )
    kinds = [str(event.type) async for event in events]
    assert "response.thinking.progress" in kinds
    assert kinds[-1] == "response.completed"
