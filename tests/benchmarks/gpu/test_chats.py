"""The client of the stage "server", against our app over the scripted engine."""

import pytest

from benchmarks.gpu.chats import make_bodies, send_chat
from benchmarks.gpu.laws import LawError, check_reply
from benchmarks.server_process import to_flags
from tests.server.conftest import MODEL, Serve, serve

__all__ = ["serve"]  # a fixture
BUDGET, MAX_TOKENS = 20, 48


@pytest.mark.parametrize("is_shown", [False, True])
async def test_every_streamed_reply_of_ours_keeps_the_laws(serve: Serve, is_shown: bool) -> None:
    served = serve(show_thoughts=True)
    bodies = make_bodies(
        MODEL, 4, MAX_TOKENS, max_thinking_tokens=BUDGET, include_reasoning=is_shown
    )
    for body in bodies:
        reply = await send_chat(served.http, body)
        check_reply(reply, budget=BUDGET, max_tokens=MAX_TOKENS, is_shown=is_shown)
        assert reply.has_reasoning_text is is_shown
        assert reply.first_answer is not None
        with pytest.raises(LawError):
            check_reply(reply, budget=1, max_tokens=MAX_TOKENS, is_shown=is_shown)


async def test_a_refused_chat_is_an_error_with_its_reason(serve: Serve) -> None:
    served = serve()
    (body,) = make_bodies(MODEL, 1, MAX_TOKENS, max_thinking_tokens="many")
    with pytest.raises(RuntimeError, match=r"400: .*max_thinking_tokens"):
        await send_chat(served.http, body)


def test_engine_options_become_flags_of_both_servers() -> None:
    options = {"max_model_len": 1024, "enforce_eager": True, "enable_prefix_caching": False}
    flags = to_flags({**options, "speculative_config": {"method": "ngram"}})
    assert flags[:2] == ["--max-model-len", "1024"]
    assert flags[2:4] == ["--enforce-eager", "--no-enable-prefix-caching"]
    assert flags[4:] == ["--speculative-config", '{"method": "ngram"}']
