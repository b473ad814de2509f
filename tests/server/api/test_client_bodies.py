"""Bodies as released clients write them: with all their fields, and many of these null.

After the sources of Open WebUI, LibreChat, LobeChat, Zed, Continue, Roo Code, Home Assistant, Dify,
LangChain4j, Semantic Kernel, LM Studio's and llama.cpp's examples, and OpenRouter's clients.
"""

from typing import Any

import pytest

from server.api.ignored import HEADER
from tests.server.api.test_unknown_fields import CHAT, MESSAGES, RESPONSES, USER, post
from tests.server.conftest import Serve, wants

Json = dict[str, Any]
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"a": {"type": ["integer", "null"]}},
            "additionalProperties": False,
        },
    },
}
STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}}
BODIES: dict[str, Json] = {
    "Open WebUI": STREAM
    | {
        "chat_id": "c",
        "id": "m",
        "session_id": "s",
        "background_tasks": {"title_generation": True},
        "features": {"web_search": False},
        "variables": {"{{USER_NAME}}": "u"},
        "params": {},
        "tool_servers": [],
        "metadata": {
            "user_id": "u",
            "files": None,
            "tool_ids": None,
            "features": {"memory": False},
            "params": {"function_calling": "native"},
        },
    },
    "Open WebUI's titles": {"stream": False, "max_tokens": 60, "metadata": {"task": "title"}},
    "LibreChat": STREAM | {"user": "u", "stop": None, "resendFiles": True, "promptPrefix": None},
    "LobeChat": STREAM
    | {"frequency_penalty": 0, "presence_penalty": 0, "top_p": 1, "enabledSearch": False},
    "Zed": STREAM
    | {
        "stop": [],
        "temperature": 1.0,
        "max_completion_tokens": None,
        "parallel_tool_calls": None,
        "tool_choice": None,
        "tools": [],
        "reasoning_effort": None,
    },
    "Continue": {
        "stream": True,
        "max_tokens": 60,
        "top_p": None,
        "stop": [f"</{number}>" for number in range(20)],
        "prediction": {"type": "content", "content": "abc"},
        "tools": None,
    },
    "Roo Code": STREAM | {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
    "Home Assistant": {
        "tools": [TOOL | {"strict": None}],
        "max_tokens": 60,
        "user": "01H",
        "store": False,
    },
    "Dify": STREAM | {"response_format": {"type": "text"}, "seed": None, "user": "u"},
    "LangChain4j": STREAM | {"max_tokens": None, "tool_choice": None, "response_format": None},
    "Semantic Kernel": {
        "n": 1,
        "logit_bias": {},
        "stop": None,
        "seed": None,
        "tool_choice": "none",
        "presence_penalty": 0.0,
    },
    "LM Studio": {"temperature": 0.7, "max_tokens": -1, "stream": False, "ttl": 300},
    "llama.cpp": {
        "cache_prompt": True,
        "id_slot": -1,
        "timings_per_token": True,
        "reasoning_format": "auto",
        "typical_p": 1.0,
        "repeat_penalty": 1.0,
        "repeat_last_n": 64,
        "xtc_probability": 0,
        "xtc_threshold": 0.1,
        "dry_multiplier": 0,
        "dry_base": 1.75,
    },
    "Groq": {"reasoning_format": "hidden", "documents": None, "compound_custom": None},
    "OpenRouter": {
        "models": ["a"],
        "provider": {"order": ["x"], "allow_fallbacks": False},
        "route": "fallback",
        "transforms": ["middle-out"],
        "plugins": [],
        "usage": {"include": True},
    },
    "all fields null": dict.fromkeys(
        (
            *("temperature", "top_p", "top_k", "n", "seed", "stop", "stream", "stream_options"),
            *("max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "logit_bias"),
            *("tools", "tool_choice", "parallel_tool_calls", "response_format", "functions"),
            *("function_call", "user", "metadata", "store", "service_tier", "modalities", "audio"),
            *("prediction", "verbosity", "safety_identifier", "prompt_cache_key", "extra_body"),
            *("reasoning_effort", "reasoning", "thinking", "reasoning_format", "thinking_zone"),
        )
    ),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_chat_is_answered(serve: Serve, body: Json) -> None:
    served = serve(wants("</think>yes"), max_model_len=4096)
    response = await post(served, CHAT, {"messages": [USER], **body})
    assert response.status_code == 200, response.text
    assert '"error"' not in response.text
    assert response.text.endswith("[DONE]\n\n") == bool(body.get("stream"))


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        (CHAT, {"messages": [USER]}, ("temprature", "max_thinking_token", "extra_body")),
        (RESPONSES, {"input": "hi"}, ("messages", "n", "max_tokens", "response_format")),
        (MESSAGES, {"messages": [USER], "max_tokens": 9}, ("stop", "n", "max_completion_tokens")),
        ("/v1/completions", {"prompt": "a"}, ("messages", "max_completion_tokens")),
    ],
)
async def test_a_wrong_field_that_is_null_is_named_only(
    serve: Serve, path: str, body: Json, wrong: tuple[str, ...]
) -> None:
    response = await post(serve(wants("</think>yes")), path, body | dict.fromkeys(wrong))
    assert response.status_code == 200, response.text
    assert set(response.headers[HEADER].split(", ")) == set(wrong)
