"""What is sent back: thoughts that this server sealed, calls and their results."""

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
    message,
    post,
    sdk,
    thinking,
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


def chat(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The conversation that a body becomes."""
    body = {"model": MODEL, "messages": list(messages), **fields}
    return [dict(m) for m in to_conversation(CountTokensRequest(**body), SEAL).messages]


def thought(text: str = "", signature: str = SEALED) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}


def test_texts_are_strings_or_blocks_and_system_comes_first() -> None:
    made = chat(
        {"role": "user", "content": [text("one"), text("two")]}, system=[text("Be"), text("brief")]
    )
    assert made == [
        {"role": "system", "content": "Be\nbrief"},
        {"role": "user", "content": "one\ntwo"},
    ]
    assert chat(QUESTION, system="Be brief")[0] == {"role": "system", "content": "Be brief"}


def test_images_stand_where_they_stood_and_those_of_results_after_them() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
    words = {"type": "text", "text": "What?"}
    made = chat({"role": "user", "content": [IMAGE, text("What?")]}, {"role": "user"} | QUESTION)
    assert made == [
        {"role": "user", "content": [part, words, {"type": "text", "text": "How many?"}]}
    ]
    result = {**RESULT, "content": [text("4"), IMAGE]}
    made = chat(
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


def test_turns_of_the_users_in_a_row_are_one() -> None:
    assert chat(QUESTION, QUESTION | {"content": "Well?"}) == [
        {"role": "user", "content": "How many?\nWell?"}
    ]


@pytest.mark.parametrize(
    "block",
    [thought(), thought(THOUGHT), {"type": "redacted_thinking", "data": SEALED}],
)
def test_a_sealed_thought_comes_back_to_its_message(block: dict[str, Any]) -> None:
    made = chat(QUESTION, {"role": "assistant", "content": [block, text(ANSWER)]}, QUESTION)
    assert made[1] == {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT}


def test_calls_and_results_take_the_templates_form_results_first() -> None:
    made = chat(
        QUESTION,
        {"role": "assistant", "content": [thought(), USE, USE | {"id": "toolu_2"}]},
        {
            "role": "user",
            "content": [
                text("Go on."),
                RESULT,
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True}
                | {"content": [text("no"), text("such")]},
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
        ("assistant", thought(signature="x" + SEALED), "content[0].signature"),
        ("assistant", thought("Another thought."), "content[0].signature"),
        ("assistant", thought(signature=ThoughtSeal().seal(THOUGHT)), "content[0].signature"),
        ("assistant", {"type": "redacted_thinking", "data": "?"}, "content[0].data"),
        ("assistant", RESULT, "content[0]"),
        ("assistant", IMAGE, "content[0]"),
        ("user", USE, "content[0]"),
        ("user", thought(), "content[0]"),
        ("user", RESULT, "content[0].tool_use_id"),
        (
            "user",
            {**IMAGE, "source": {**IMAGE["source"], "data": "?"}},
            "content[0].source.data",
        ),
        ("system", USE, "content[0]"),
    ],
)
def test_a_block_that_is_not_ours_or_stands_wrong_is_named(
    role: str, block: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        chat(QUESTION, {"role": role, "content": [block]}, QUESTION)
    assert caught.value.param == f"messages[1].{param}"
    assert caught.value.message.startswith(f"messages[1].{param}: ")
    assert THOUGHT not in caught.value.message


def test_an_answer_that_has_begun_is_refused() -> None:
    with pytest.raises(BadRequestError, match="prefill"):
        chat(QUESTION, {"role": "assistant", "content": "The"})


@pytest.mark.parametrize("shows_thoughts", [True, False])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_the_client_was_given_goes_round(
    serve: Serve, connect: Connect, shows_thoughts: bool, is_streamed: bool
) -> None:
    served = serve(wants(WANTED), show_thoughts=shows_thoughts)
    client = connect(served)
    asked = sdk(thinking=thinking())
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
    blocks = (await message(served, thinking=thinking()))["content"]
    blocks[0]["signature"] = blocks[0]["signature"][:-6] + "AAAAA="
    turns = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]
    response = await post(served, messages=turns)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("messages[1].content[0].signature: was not made by")
