"""Most of a text marker in an answer never reaches a client, on any API, and is counted."""

from typing import Any

import pytest

from tests.server.conftest import (
    MODEL,
    PROFILES,
    Serve,
    Served,
    choice_texts,
    ids,
    make_profile,
    wants,
)
from thinking.markers.families import THOUGHT_END, THOUGHT_START

# Ordinary tokens of the small tokenizer.
PROFILE = make_profile(THOUGHT_START, THOUGHT_END, lead_in_token_ids=ids("So: "), native=False)
ALMOST = ["<|endofthought|", "<|endoft", "<|startofthought|", "<|starto"]


def serve_primed(serve: Serve, text: str) -> Served:
    return serve(wants(text), PROFILE)


@pytest.mark.parametrize("almost", ALMOST)
async def test_an_answer_is_clean_whole_and_streamed(serve: Serve, almost: str) -> None:
    text = f"Yes{almost} sir{almost}"
    served = serve_primed(serve, text)
    fields: dict[str, Any] = {"max_thinking_tokens": 0, "temperature": 0}
    reply = (await served.chat(**fields, logprobs=True)).json()
    (choice,) = reply["choices"]
    assert choice["message"]["content"] == "Yes sir"
    assert "".join(entry["token"] for entry in choice["logprobs"]["content"]) == "Yes sir"
    # What is removed was generated; the last token ends the answer.
    assert reply["usage"]["completion_tokens"] == len(ids(text)) + 1
    assert choice_texts(await served.events(**fields)) == ["Yes sir"]
    messages = [{"role": "user", "content": "How many?"}]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/completions": {"prompt": "Is it?", **fields},
        "/v1/responses": {"input": "Is it?", **fields},
        "/v1/messages": {"messages": messages, "max_tokens": 99, **fields},
    }
    for path, body in bodies.items():
        for stream in (False, True):
            body |= {"model": MODEL, "stream": stream}
            response = await served.http.post(path, json=body)
            assert response.status_code == 200, response.text
            assert "<|" not in response.text
            assert "oft" not in response.text


async def test_a_few_characters_stay(serve: Serve) -> None:
    text = "a <| b <|end|> c <|endof <th> <|star"
    reply = await serve_primed(serve, text).chat(max_thinking_tokens=0, temperature=0)
    assert reply.json()["choices"][0]["message"]["content"] == text


async def test_markers_that_are_tokens_are_not_looked_for_in_the_text(serve: Serve) -> None:
    served = serve(wants("the text </think is fine"), PROFILES["special markers"])
    reply = await served.chat(max_thinking_tokens=0, temperature=0)
    assert reply.json()["choices"][0]["message"]["content"] == "the text </think is fine"


@pytest.mark.parametrize("choices", [["<|endoftext|>", "no"], ["x<|starto"], ["<|endofthought|>"]])
async def test_a_constraint_to_what_is_removed_is_refused(serve: Serve, choices: list[str]) -> None:
    served = serve_primed(serve, "no")
    response = await served.chat(structured_outputs={"choice": choices})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "structured_outputs.choice"
    assert "thinking marker" in error["message"]
    allowed = await served.chat(structured_outputs={"choice": ["<|end|>", "no"]})
    assert allowed.status_code == 200
