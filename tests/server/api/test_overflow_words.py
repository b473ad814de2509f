"""A prompt that is too long is refused in words on which clients shorten the conversation."""

import re
from typing import Any

import pytest

from tests.server.conftest import MODEL, Serve

LONG = "word " * 200
# As LiteLLM 1.110 (``is_error_str_context_window_exceeded``) and OpenCode look for them.
LITELLM = "this model's maximum context length is"
OPENCODE = re.compile(r"maximum context length is \d+ tokens", re.IGNORECASE)
BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}, "messages"),
    ("/v1/completions", {"prompt": LONG}, "prompt"),
    ("/v1/completions", {"prompt": ["hi", LONG]}, "prompt[1]"),
    ("/v1/responses", {"input": LONG}, "input"),
]


@pytest.mark.parametrize(("path", "body", "param"), BODIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_overflow_is_told_in_openais_words(
    serve: Serve, path: str, body: dict[str, Any], param: str, stream: bool
) -> None:
    served = serve(max_model_len=300)
    response = await served.http.post(path, json={"model": MODEL, "stream": stream} | body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", param)
    assert LITELLM in error["message"].lower()
    assert OPENCODE.search(error["message"])
    assert "300 tokens" in error["message"]
    # What was too long, and by how much.
    assert re.search(r"resulted in 1\d{3} tokens", error["message"])
    assert param.partition("[")[0] in error["message"] or param == "input"


async def test_a_reply_that_would_not_fit_is_shortened(serve: Serve) -> None:
    response = await serve(max_model_len=200).chat(max_tokens=5_000)
    assert response.status_code == 200, response.text
