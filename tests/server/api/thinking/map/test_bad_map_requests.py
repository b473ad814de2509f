"""An invalid request for a map is an error that names the field."""

from typing import Any

import pytest

from tests.server.api.thinking.map.conftest import TEXT, ThinkingLogits, post
from tests.server.conftest import PROFILES, Serve, ids, make_profile

SPECIAL = PROFILES["special markers"]

# Body fields, the path that the error must name, and a word of its message.
BAD_FIELDS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"text": ""}, "text", "at least 1"),
    ({"text": 7}, "text", "string"),
    ({"text": "a" * 65}, "text", "at most 64 (--max-map-tokens)"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": [{"role": "user"}]}, "messages[0]", "content is required"),
    ({"messages": [{"role": "user", "content": "x" * 500}]}, "text", "context of 512"),
    ({"thought_tokens": 0}, "thought_tokens", "1"),
    ({"thought_tokens": 2}, "thought_tokens", "at least 3"),
    ({"thought_tokens": 301}, "thought_tokens", "at most 300"),
    ({"thought_tokens": True}, "thought_tokens", "integer"),
    ({"thought_tokens": 4.0}, "thought_tokens", "integer"),
    ({"mix": 1.5}, "mix", "0 to 1"),
    ({"mix": "half"}, "mix", "0 to 1"),
    ({"mix": True}, "mix", "0 to 1"),
    ({"mix": []}, "mix", "1 to 16"),
    ({"mix": [0.5] * 17}, "mix", "1 to 16"),
    ({"mix": [0.5, -0.1]}, "mix", "0 to 1"),
    ({"mix": [[0.5]]}, "mix", "0 to 1"),
    ({"temperature": 3}, "temperature", "2"),
    ({"seed": "x"}, "seed", "integer"),
    ({"seed": 2**63}, "seed", "9223372036854775807"),
    ({"stream": 1}, "stream", "boolean"),
    ({"txt": "x"}, "txt", "'text'"),
    ({"though_tokens": 4}, "though_tokens", "'thought_tokens'"),
    ({"mixx": 4}, "mixx", "'mix'"),
    ({"max_thinking_tokens": 4}, "max_thinking_tokens", "'thought_tokens'"),
    ({"thinking_budget": 4}, "thinking_budget", "'thought_tokens'"),
    ({"thinking_options": {"mix": 1}}, "thinking_options", "'mix'"),
    ({"prompt": "x"}, "prompt", "unknown"),
]


@pytest.mark.parametrize(("fields", "param", "word"), BAD_FIELDS)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_bad_input_is_a_400_that_names_the_field(
    serve: Serve, fields: dict[str, Any], param: str | None, word: str, is_streamed: bool
) -> None:
    served = serve(ThinkingLogits(SPECIAL), max_map_tokens=64, max_thinking_tokens=300)
    refused = await post(served, **{"stream": is_streamed, **fields})
    error = refused.json()["error"]
    assert refused.status_code == 400
    assert error["param"] == param
    assert param is None or param.partition("[")[0] in error["message"]
    assert word in error["message"]
    assert served.engine.last_request is None


async def test_another_model_is_a_404(serve: Serve) -> None:
    refused = await post(serve(ThinkingLogits(SPECIAL)), model="other")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "model")


async def test_the_context_holds_prefix_text_and_thought_and_no_token_more(serve: Serve) -> None:
    served = serve(ThinkingLogits(SPECIAL, "q" * 400), max_model_len=128)
    for thought_tokens in range(3, 128):
        reply = await post(served, text="abc", thought_tokens=thought_tokens)
        if reply.status_code != 200:
            break
    assert reply.json()["error"]["code"] == "context_length_exceeded"
    usage = (await post(served, text="abc", thought_tokens=thought_tokens - 1)).json()["usage"]
    assert usage["prompt_tokens"] + thought_tokens - 1 == 128


async def test_a_marker_of_one_ordinary_token_cannot_be_measured(serve: Serve) -> None:
    profile = make_profile("{", "}")
    served = serve(ThinkingLogits(profile), profile)
    refused = await post(served, text="a{b")
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "text")
    assert "token 1" in error["message"]
    assert ids("{")[0] in profile.start_token_ids
    assert (await post(served, text=TEXT)).status_code == 200


async def test_the_shortest_thought_includes_the_profiles_markers(serve: Serve) -> None:
    profile = PROFILES["text markers"]
    refused = await post(serve(ThinkingLogits(profile), profile), thought_tokens=2)
    least = len(profile.start_token_ids + profile.end_token_ids) + 1
    assert f"at least {least}" in refused.json()["error"]["message"]
