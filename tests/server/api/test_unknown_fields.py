"""An unknown field: never a budget that is ignored, never a stranger that is refused."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.ignored import HEADER, MAX_NAMED
from server.api.openai.chat.protocol import ChatCompletionRequest
from server.api.typing_errors import count_edits, find_misspelt
from server.api.unknown_fields import find_refusal
from server.dialects.spellings import SPELLINGS, WRONG_NAMES
from tests.server.conftest import MODEL, Serve, Served, chat_body, wants

KNOWN = list(ChatCompletionRequest.model_fields)
BUDGETS = sorted({row.path.split(".")[0] for row in SPELLINGS} | {*WRONG_NAMES})
# Those that speak of thinking by themselves, or are long enough to be told from other words.
TELLING = [name for name in BUDGETS if len(name) > 5]
LETTERS = "abcdefghijklmnopqrstuvwxyz_"
WORDS = [
    "trace",
    "session",
    "client",
    "cache",
    "vendor",
    "beta",
    "note",
    "flavour",
    "zone",
    "origin",
]
STRANGERS = st.lists(st.sampled_from(WORDS), min_size=2, max_size=4).map("_".join)
USER = {"role": "user", "content": "hi"}


@st.composite
def misspellings(draw: st.DrawFn, names: list[str]) -> str:
    """One edit of one of `names`."""
    name = draw(st.sampled_from(names))
    place = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from(LETTERS))
    match draw(st.sampled_from(["insert", "drop", "change", "swap"])):
        case "insert":
            return name[:place] + letter + name[place:]
        case "drop":
            return name[:place] + name[place + 1 :]
        case "change":
            return name[:place] + letter + name[place + 1 :]
    return name[:place] + name[place + 1 : place + 2] + name[place] + name[place + 2 :]


@given(misspellings(TELLING))
def test_no_typing_error_of_a_budget_field_is_ignored(name: str) -> None:
    if name in KNOWN or name in BUDGETS:
        return
    assert find_refusal((name,), {name: 5}, KNOWN) is not None


@given(misspellings([name for name in KNOWN if len(name) >= 4]))
def test_no_typing_error_of_a_known_field_is_ignored(name: str) -> None:
    if name in KNOWN:
        return
    refusal = find_refusal((name,), {name: 5}, KNOWN)
    assert refusal is not None or name == "mode"


@given(STRANGERS)
def test_no_other_stranger_is_refused(name: str) -> None:
    if any(count_edits(name, known) <= 2 for known in (*KNOWN, *BUDGETS)):
        return
    assert find_refusal((name,), {name: 5}, KNOWN) is None


@given(st.text(LETTERS, max_size=8), st.text(LETTERS, max_size=8))
def test_edits_are_a_distance(first: str, second: str) -> None:
    distance = count_edits(first, second)
    assert distance == count_edits(second, first)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


def test_capitals_and_hyphens_are_typing_errors() -> None:
    assert find_misspelt("maxTokens", KNOWN) == "max_tokens"
    assert find_misspelt("top-p", KNOWN) == "top_p"


async def post(served: Served, path: str, body: dict[str, Any]) -> httpx.Response:
    return await served.http.post(path, json={"model": MODEL, **body})


CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
TOOL = {"name": "add", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
PLACES: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": [USER], "vendor_zone": 1}, "vendor_zone"),
    (CHAT, {"messages": [USER | {"vendor_zone": 1}]}, "messages[0].vendor_zone"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "zone": 1}]}]},
        "messages[0].content[0].zone",
    ),
    (
        CHAT,
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [CALL | {"vendor_zone": 1}]},
                {"role": "tool", "tool_call_id": "c", "content": "3", "vendor_zone": 1},
            ]
        },
        "messages[1].tool_calls[0].vendor_zone, messages[2].vendor_zone",
    ),
    (
        CHAT,
        {"messages": [USER], "tools": [{"type": "function", "function": TOOL | {"zone": 1}}]},
        "tools[0].function.zone",
    ),
    (CHAT, {"messages": [USER], "nvext": {"annotations": []}}, "nvext.annotations"),
    (RESPONSES, {"input": "hi", "client_zone": {"a": 1}}, "client_zone"),
    (
        RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "zone": 1}]}]},
        "input[0].content[0].zone",
    ),
    (
        RESPONSES,
        {"input": "hi", "tools": [TOOL | {"type": "function", "zone": 1}]},
        "tools[0].zone",
    ),
    (MESSAGES, {"max_tokens": 9, "messages": [USER], "client_zone": 1}, "client_zone"),
    (
        MESSAGES,
        {"max_tokens": 9, "messages": [USER], "system": [{"type": "text", "text": "a", "zone": 1}]},
        "system[0].zone",
    ),
    (
        MESSAGES,
        {
            "max_tokens": 9,
            "messages": [USER],
            "tools": [{"name": "add", "input_schema": {"type": "object"}, "zone": 1}],
        },
        "tools[0].zone",
    ),
    ("/v1/completions", {"prompt": "hi", "client_zone": 1}, "client_zone"),
    ("/tokenize", {"prompt": "hi", "client_zone": 1}, "client_zone"),
]


@pytest.mark.parametrize(("path", "body", "named"), PLACES)
async def test_a_stranger_is_accepted_and_named_at_every_depth(
    serve: Serve, path: str, body: dict[str, Any], named: str
) -> None:
    response = await post(serve(wants("</think>yes")), path, body)
    assert response.status_code == 200, response.text
    assert response.headers[HEADER] == named


@pytest.mark.parametrize(("path", "body", "named"), PLACES)
async def test_all_strangers_are_refused_where_the_operator_says_so(
    serve: Serve, path: str, body: dict[str, Any], named: str
) -> None:
    response = await post(serve(wants("</think>yes"), unknown_fields="refuse"), path, body)
    assert response.status_code == 400
    assert HEADER not in response.headers


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (CHAT, {"messages": [USER], "temprature": 1}, "temprature", "'temperature'"),
    (CHAT, {"messages": [USER], "max_token": 1, "max_tokens": 4}, "max_token", "'max_tokens'"),
    (CHAT, {"messages": [USER], "thinkng_budget": 1}, "thinkng_budget", "thinking"),
    (CHAT, {"messages": [USER], "vendor_effort": 1}, "vendor_effort", ""),
    (
        CHAT,
        {"messages": [USER], "nvext": {"max_thinking_token": 1}},
        "nvext.max_thinking_token",
        "",
    ),
    (CHAT, {"messages": [USER], "thinking": {"vendor_zone": 1}}, "thinking.vendor_zone", ""),
    (CHAT, {"messages": [USER], "thinking_options": {"zone": 1}}, "thinking_options.zone", ""),
    (CHAT, {"messages": [USER], "response_format": {"type": "text", "zone": 1}}, "zone", ""),
    (CHAT, {"messages": [USER | {"thinking_zone": 1}]}, "messages[0].thinking_zone", ""),
    (CHAT, {"messages": [USER | {"max_thinking_tokens": 1}]}, "max_thinking_tokens", "top level"),
    (CHAT, {"messages": [USER], "vendor": {"thinking_budget": 5}}, "vendor", "thinking_budget"),
    (CHAT, {"messages": [USER], "custom_param": {"thinking_budget": 5}}, "custom_param", ""),
    (CHAT, {"messages": [USER], "grace": 5}, "grace", "thinking_options.grace"),
    (MESSAGES, {"max_tokens": 9, "messages": [USER], "stop": ["x"]}, "stop", "stop_sequences"),
    (CHAT, {"messages": [USER], "mirostat": 2}, "mirostat", ""),
    (CHAT, {"messages": [USER], "repeat_penalty": 1.1}, "repeat_penalty", "repetition_penalty"),
    (CHAT, {"messages": [USER], "typical_p": 0.5}, "typical_p", ""),
    (CHAT, {"messages": [USER], "dry_multiplier": 0.8, "dry_base": 1.75}, "dry_multiplier", ""),
    (RESPONSES, {"input": "hi", "max_output_token": 5}, "max_output_token", "max_output_tokens"),
    (RESPONSES, {"input": "hi", "text": {"format": {"type": "text", "zone": 1}}}, "zone", ""),
    (MESSAGES, {"max_tokens": 9, "messages": [USER], "thinking_zone": 1}, "thinking_zone", ""),
]


@pytest.mark.parametrize(("path", "body", "param", "words"), REFUSED)
async def test_what_must_not_be_ignored_is_refused_by_name(
    serve: Serve, path: str, body: dict[str, Any], param: str, words: str
) -> None:
    response = await post(serve(wants("</think>yes")), path, body)
    assert response.status_code == 400, response.headers.get(HEADER)
    message = response.json()["error"]["message"]
    assert param in message
    assert words in message


@pytest.mark.parametrize(
    "fields",
    [
        {"mirostat": 0, "mirostat_tau": 5.0},
        {"repeat_penalty": 1.0, "repeat_last_n": 64},
        {"typical_p": 1.0, "top_a": 0, "tfs_z": 1},
        {"dry_multiplier": 0, "dry_base": 1.75},
    ],
)
async def test_a_foreign_sampler_that_is_off_is_accepted(
    serve: Serve, fields: dict[str, Any]
) -> None:
    response = await post(serve(wants("</think>yes")), CHAT, {"messages": [USER], **fields})
    assert response.status_code == 200, response.text
    assert response.headers[HEADER] == ", ".join(fields)


async def test_what_clients_send_back_of_other_servers_is_history(serve: Serve) -> None:
    earlier = {
        "role": "assistant",
        "content": "x",
        "reasoning_details": [{"type": "reasoning.text", "text": "t"}],
        "thought_opaque": "x",
        "provider_specific_fields": {"refusal": None},
    }
    body = chat_body(messages=[USER, earlier, USER])
    response = await serve(wants("</think>yes")).http.post(CHAT, json=body)
    assert response.status_code == 200, response.text
    assert "messages[1].thought_opaque" in response.headers[HEADER]


async def test_the_header_names_ten_and_counts_the_rest(serve: Serve) -> None:
    strangers = {f"vendor_zone_{letter * 3}": 1 for letter in "abcdefghijkl"}
    response = await post(serve(wants("</think>yes")), CHAT, {"messages": [USER], **strangers})
    assert response.headers[HEADER].endswith(", and 2 more")
    assert response.headers[HEADER].count("vendor_zone") == MAX_NAMED


async def test_a_name_cannot_write_into_the_header_or_the_log(serve: Serve) -> None:
    body = {"messages": [USER], 'vendor\r\nset-cookie: a="b" zone': 1}
    response = await post(serve(wants("</think>yes")), CHAT, body)
    assert response.status_code == 200
    assert response.headers[HEADER] == "vendor??set-cookie??a??b??zone"


async def test_strangers_are_counted_by_endpoint(serve: Serve) -> None:
    served = serve(wants("</think>yes"))
    await post(served, CHAT, {"messages": [USER], "vendor_zone": 1, "client_zone": 2})
    page = (await served.http.get("/metrics")).text
    assert f'thinking_ignored_fields_total{{endpoint="{CHAT}"}} 2.0' in page
    assert "vendor_zone" not in page
