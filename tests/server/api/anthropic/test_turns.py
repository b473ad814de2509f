"""Turns that a client sends back: thoughts that this server sealed, calls and their results."""

from typing import Any

import pytest

from server.api.anthropic.conversation import to_conversation
from server.api.anthropic.protocol import CountTokensRequest
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import ThoughtSeal
from tests.server.api.anthropic.conftest import (
    ANSWER,
    THOUGHT,
    WANTED,
    Connect,
    create_message,
    make_arguments,
    make_thinking,
    post,
)
from tests.server.conftest import MODEL, Serve, wants

SEAL = ThoughtSeal()
SEALED = SEAL.seal(THOUGHT)
QUESTION = {"role": "user", "content": "How many?"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2}}
IMAGE: dict[str, Any] = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"},
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}


def convert(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """Return the conversation in a body."""
    body = {"model": MODEL, "messages": list(messages), **fields}
    return [dict(m) for m in to_conversation(CountTokensRequest(**body), SEAL).messages]


def make_thought(text: str = "", signature: str = SEALED) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def make_text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}


def test_texts_are_strings_or_blocks_and_system_comes_first() -> None:
    made = convert(
        {"role": "user", "content": [make_text("one"), make_text("two")]},
        system=[make_text("Be"), make_text("brief")],
    )
    assert made == [
        {"role": "system", "content": "Be\nbrief"},
        {"role": "user", "content": "one\ntwo"},
    ]
    assert convert(QUESTION, system="Be brief")[0] == {"role": "system", "content": "Be brief"}


def test_images_keep_their_places_and_those_of_results_follow() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
    words = {"type": "text", "text": "What?"}
    made = convert(
        {"role": "user", "content": [IMAGE, make_text("What?")]}, {"role": "user"} | QUESTION
    )
    assert made == [
        {"role": "user", "content": [part, words, {"type": "text", "text": "How many?"}]}
    ]
    result = {**RESULT, "content": [make_text("4"), IMAGE]}
    made = convert(
        QUESTION, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [result]}
    )
    assert made[2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "4"},
        {"role": "user", "content": [part]},
    ]


async def test_a_model_that_reads_text_only_says_so(serve: Serve) -> None:
    response = await post(serve(), messages=[{"role": "user", "content": [IMAGE]}])
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "messages: this model reads text only, no images"


def test_consecutive_user_turns_are_merged() -> None:
    assert convert(QUESTION, QUESTION | {"content": "Well?"}) == [
        {"role": "user", "content": "How many?\nWell?"}
    ]


@pytest.mark.parametrize(
    "block",
    [make_thought(), make_thought(THOUGHT), {"type": "redacted_thinking", "data": SEALED}],
)
def test_a_sealed_thought_comes_back_to_its_message(block: dict[str, Any]) -> None:
    made = convert(QUESTION, {"role": "assistant", "content": [block, make_text(ANSWER)]}, QUESTION)
    assert made[1] == {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT}


def test_calls_and_results_take_the_templates_form_results_first() -> None:
    made = convert(
        QUESTION,
        {"role": "assistant", "content": [make_thought(), USE, USE | {"id": "toolu_2"}]},
        {
            "role": "user",
            "content": [
                make_text("Go on."),
                RESULT,
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True}
                | {"content": [make_text("no"), make_text("such")]},
            ],
        },
    )
    function = {"name": "add", "arguments": '{"a": 2}'}
    assert made[1:] == [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": THOUGHT,
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": function},
                {"id": "toolu_2", "type": "function", "function": function},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "4"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: no\nsuch"},
        {"role": "user", "content": "Go on."},
    ]


@pytest.mark.parametrize(
    ("role", "block", "param"),
    [
        ("assistant", make_thought(signature="x" + SEALED), "content[0].signature"),
        ("assistant", make_thought("Another thought."), "content[0].signature"),
        ("assistant", make_thought(signature=ThoughtSeal().seal(THOUGHT)), "content[0].signature"),
        ("assistant", {"type": "redacted_thinking", "data": "?"}, "content[0].data"),
        ("assistant", RESULT, "content[0]"),
        ("assistant", IMAGE, "content[0]"),
        ("user", USE, "content[0]"),
        ("user", make_thought(), "content[0]"),
        ("user", RESULT, "content[0].tool_use_id"),
        (
            "user",
            {**IMAGE, "source": {**IMAGE["source"], "data": "?"}},
            "content[0].source.data",
        ),
        ("system", USE, "content[0]"),
    ],
)
def test_a_block_that_is_not_ours_or_in_the_wrong_place_is_named(
    role: str, block: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        convert(QUESTION, {"role": role, "content": [block]}, QUESTION)
    assert caught.value.param == f"messages[1].{param}"
    assert caught.value.message.startswith(f"messages[1].{param}: ")
    assert THOUGHT not in caught.value.message


def test_an_answer_that_has_begun_is_refused() -> None:
    with pytest.raises(BadRequestError, match="prefill"):
        convert(QUESTION, {"role": "assistant", "content": "The"})


@pytest.mark.parametrize("shows_thoughts", [True, False])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_the_client_was_given_goes_round(
    serve: Serve, connect: Connect, shows_thoughts: bool, is_streamed: bool
) -> None:
    served = serve(wants(WANTED), show_thoughts=shows_thoughts)
    client = connect(served)
    asked = make_arguments(thinking=make_thinking())
    if is_streamed:
        async with client.messages.stream(**asked) as stream:
            reply = await stream.get_final_message()
    else:
        reply = await client.messages.create(**asked)
    turns = [*asked["messages"], {"role": "assistant", "content": reply.content}, QUESTION]
    second = await client.messages.create(**asked | {"messages": turns})
    assert second.content[-1].text == ANSWER  # type: ignore[union-attr]
    assert second.usage.input_tokens > reply.usage.input_tokens


async def test_a_tampered_signature_is_a_400_that_names_it(serve: Serve) -> None:
    served = serve(wants(WANTED))
    blocks = (await create_message(served, thinking=make_thinking()))["content"]
    blocks[0]["signature"] = blocks[0]["signature"][:-6] + "AAAAA="
    turns = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]
    response = await post(served, messages=turns)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("messages[1].content[0].signature: was not made by")
