"""Comments keep a silent stream alive, and no client takes one for an event."""

import pytest

from tests.server.conftest import Serve, chat_body, wants

THOUGHT = " ".join(map(str, range(300)))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/completions"])
async def test_a_comment_is_a_line_of_the_next_event(serve: Serve, path: str) -> None:
    """openai-go before 3.4 takes a block that is a comment for an event without data, and fails."""
    served = serve(wants(f"{THOUGHT}</think>Five."), keep_alive_seconds=0.001, max_model_len=10_000)
    body = chat_body(stream=True, max_tokens=4000, max_thinking_tokens=3000)
    if path == "/v1/completions":
        body["prompt"] = body.pop("messages")[0]["content"]
    if path == "/v1/messages":
        body["thinking"] = {"type": "enabled", "budget_tokens": body.pop("max_thinking_tokens")}
    stream = (await served.http.post(path, json=body)).text
    assert "\n: keep-alive\n" in stream
    *events, end = stream.split("\n\n")
    assert end == ""
    for event in events:
        lines = [line for line in event.split("\n") if not line.startswith(":")]
        assert [line.partition(": ")[0] for line in lines] in (["data"], ["event", "data"])
