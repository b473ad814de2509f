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


def convert(
    *messages: dict[str, Any], left_out: list[str] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    """Return the conversation in a body; `left_out` gets the paths of what is not in it."""
    body = CountTokensRequest.model_validate({"model": MODEL, "messages": [*messages], **fields})
    paths = [] if left_out is None else left_out
    return [dict(m) for m in to_conversation(body, SEAL, paths.append).messages]


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
        ("assistant", make_thought("Another thought."), "content[0].signature"),
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
def test_a_changed_thought_or_a_block_in_the_wrong_place_is_refused(
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


FOREIGN: list[dict[str, Any]] = [
    make_thought(signature="x" + SEALED),
    make_thought(THOUGHT, signature="ErUBCkYIBRgCKkA="),
    make_thought(THOUGHT, signature=""),
    make_thought(signature=ThoughtSeal().seal(THOUGHT)),
    make_thought(signature=SEAL.of("another key").seal(THOUGHT)),
    {"type": "thinking", "thinking": THOUGHT},
    {"type": "thinking", "thinking": THOUGHT, "signature": None},
    {"type": "redacted_thinking", "data": "EmwKAhgB"},
    {"type": "redacted_thinking"},
]


@pytest.mark.parametrize("block", FOREIGN)
def test_a_thought_that_cannot_be_opened_is_left_out_and_named(block: dict[str, Any]) -> None:
    paths: list[str] = []
    answer = {"role": "assistant", "content": [make_text(ANSWER), block]}
    made = convert(QUESTION, answer, QUESTION, left_out=paths)
    assert made[1] == {"role": "assistant", "content": ANSWER}
    assert paths == ["messages[1].content[1]"]


async def test_the_response_names_a_thought_that_was_left_out(serve: Serve) -> None:
    served = serve(wants(WANTED))
    blocks = (await create_message(served, thinking=make_thinking()))["content"]
    turns = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]
    response = await post(served, messages=turns)
    assert "x-ignored-fields" not in response.headers
    blocks[0]["signature"] = blocks[0]["signature"][:-6] + "AAAAA="
    response = await post(served, messages=turns)
    assert response.status_code == 200, response.text
    assert response.headers["x-ignored-fields"] == "messages[1].content[0]"


async def test_a_changed_thought_is_refused_in_anthropics_words(serve: Serve) -> None:
    served = serve(wants(WANTED))
    blocks = (await create_message(served, thinking=make_thinking()))["content"]
    blocks[0]["thinking"] = "Two and three."
    turns = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]
    response = await post(served, messages=turns)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "Invalid `signature` in `thinking` block" in error["message"]
    assert error["message"].startswith("messages[1].content[0].signature: ")


def test_a_call_may_have_its_input_as_json_text_or_as_nothing() -> None:
    for given, wanted in (('{"a": 2}', '{"a": 2}'), ("", "{}"), (None, "{}")):
        made = convert(
            QUESTION,
            {"role": "assistant", "content": [USE | {"input": given}]},
            {"role": "user", "content": [RESULT]},
        )
        assert made[1]["tool_calls"][0]["function"]["arguments"] == wanted


DOCUMENT: dict[str, Any] = {
    "type": "document",
    "title": "Sums",
    "source": {"type": "text", "media_type": "text/plain", "data": "2 + 2 = 4"},
}
DOCUMENT_TEXT = "<document>\n<title>Sums</title>\n2 + 2 = 4\n</document>"


def test_documents_and_search_results_are_text_between_tags() -> None:
    content = {**DOCUMENT, "source": {"type": "content", "content": "2 + 2 = 4"}}
    result = {
        "type": "search_result",
        "source": "http://a",
        "title": "Sums",
        "content": [make_text("four")],
    }
    found = "<search_result>\n<source>http://a</source>\n<title>Sums</title>\nfour"
    for block, text in (
        (DOCUMENT, DOCUMENT_TEXT),
        (content, DOCUMENT_TEXT),
        (result, f"{found}\n</search_result>"),
    ):
        made = convert({"role": "user", "content": [block, make_text("So?")]})
        assert made == [{"role": "user", "content": f"{text}\nSo?"}]
        made = convert(
            QUESTION,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [{**RESULT, "content": [block]}]},
        )
        assert made[2]["content"] == text


def test_an_image_in_a_document_is_an_image() -> None:
    block = {**DOCUMENT, "source": {"type": "content", "content": [make_text("See:"), IMAGE]}}
    made = convert({"role": "user", "content": [block]})
    assert [part["type"] for part in made[0]["content"]] == ["text", "text", "image_url", "text"]


SERVER_USE = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "sums"},
}
SERVER_RESULT: dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "title": "Sums",
            "url": "http://a",
            "encrypted_content": "EqgfCioIARgB",
        }
    ],
}


def test_what_another_servers_tools_found_is_a_call_and_its_result() -> None:
    paths: list[str] = []
    blocks = [make_text("I look."), SERVER_USE, SERVER_RESULT, make_text(ANSWER)]
    made = convert(QUESTION, {"role": "assistant", "content": blocks}, QUESTION, left_out=paths)
    function = {"name": "web_search", "arguments": '{"query": "sums"}'}
    assert made[1:4] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "srvtoolu_1", "type": "function", "function": function}],
        },
        {
            "role": "tool",
            "tool_call_id": "srvtoolu_1",
            "content": '[{"title": "Sums", "url": "http://a"}]',
        },
        {"role": "assistant", "content": ANSWER},
    ]
    assert not paths


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("mcp_tool_result", "four", "four"),
        ("mcp_tool_result", [{"type": "text", "text": "four"}], "four"),
        (
            "code_execution_tool_result",
            {"type": "code_execution_result", "stdout": "4", "return_code": 0, "content": []},
            '{"stdout": "4", "return_code": 0, "content": []}',
        ),
        (
            "a_future_tool_result",
            {"type": "error", "error_code": "gone"},
            '{"error_code": "gone"}',
        ),
    ],
)
def test_a_result_is_its_texts_or_its_json(kind: str, content: Any, text: str) -> None:
    use = {**SERVER_USE, "type": "mcp_tool_use", "server_name": "s"}
    result = {"type": kind, "tool_use_id": "srvtoolu_1", "content": content}
    turn = {"role": "assistant", "content": [use, result]}
    assert convert(QUESTION, turn, QUESTION)[2]["content"] == text
    turn = {"role": "assistant", "content": [use, {**result, "is_error": True}]}
    assert convert(QUESTION, turn, QUESTION)[2]["content"] == f"Error: {text}"


def test_halves_of_calls_and_unknown_blocks_of_the_assistant_are_left_out_and_named() -> None:
    blocks = [
        SERVER_USE,
        {**SERVER_RESULT, "tool_use_id": "another"},
        {"type": "container_upload", "file_id": "f"},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
        {"type": "reasoning", "text": THOUGHT},
        make_text(ANSWER),
    ]
    paths: list[str] = []
    made = convert(QUESTION, {"role": "assistant", "content": blocks}, QUESTION, left_out=paths)
    assert made[1] == {"role": "assistant", "content": ANSWER}
    assert paths == [f"messages[1].content[{place}]" for place in range(5)]


def test_a_summary_replaces_what_was_before_it() -> None:
    summary = {"type": "compaction", "content": "They counted.", "encrypted_content": "x"}
    made = convert(
        QUESTION,
        {"role": "assistant", "content": [make_text("gone"), summary, make_text(ANSWER)]},
        QUESTION,
        system="Be brief.",
    )
    assert made == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "They counted."},
        {"role": "assistant", "content": ANSWER},
        QUESTION,
    ]
    failed = {"role": "assistant", "content": [{**summary, "content": None}, make_text(ANSWER)]}
    assert convert(QUESTION, failed, QUESTION)[0] == QUESTION


def test_a_system_turn_may_be_for_one_turn_only() -> None:
    note = {"role": "system", "content": "Hurry.", "clear_at": "next_user_message"}
    answer = {"role": "assistant", "content": ANSWER}
    assert convert(QUESTION, note)[1] == {"role": "system", "content": "Hurry."}
    assert convert(QUESTION, note, answer, QUESTION) == [QUESTION, answer, QUESTION]
    kept = {**note, "clear_at": "never"}
    assert convert(QUESTION, kept, answer, QUESTION)[1]["role"] == "system"


def test_the_model_is_told_of_the_budget_of_its_task() -> None:
    budget: dict[str, Any] = {"type": "tokens", "total": 20_000}
    made = convert(QUESTION, system="Be brief.", output_config={"task_budget": budget})
    assert made[0]["content"] == (
        "Be brief.\nThe token budget of this task is 20000; 20000 tokens of it are left."
    )
    budget["remaining"] = 500
    made = convert(QUESTION, output_config={"task_budget": budget})
    assert made[0]["role"] == "system"
    assert "; 500 tokens of it are left" in made[0]["content"]
