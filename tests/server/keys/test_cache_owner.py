"""With ``--isolate-prefix-cache`` every engine request has its key for an owner; else none."""

from collections.abc import AsyncGenerator

import pytest

from server.callers.context import cache_owner
from server.engine.protocol import EngineOutput, EngineRequest
from tests.server.conftest import Served, chat_body
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, bearer


def owners_seen(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Grows with each engine request."""
    seen: list[str | None] = []
    generate = served.engine.generate

    def noted(request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        seen.append(cache_owner.get())
        return generate(request)

    monkeypatch.setattr(served.engine, "generate", noted)
    return seen


@pytest.mark.parametrize("stream", [False, True])
async def test_each_key_has_a_cache_of_its_own(
    serve_keys: ServeKeys, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    served = serve_keys(isolate_prefix_cache=True)
    seen = owners_seen(served, monkeypatch)
    for secret in (ALICE, BOB):
        body = chat_body(n=2, stream=stream)
        response = await served.http.post("/v1/chat/completions", json=body, headers=bearer(secret))
        assert response.status_code == 200
    assert seen == ["alice", "alice", "bob", "bob"]
    assert cache_owner.get() is None


async def test_they_share_one_unless_asked(
    serve_keys: ServeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_keys()
    seen = owners_seen(served, monkeypatch)
    await served.http.post("/v1/chat/completions", json=chat_body(), headers=bearer(ALICE))
    assert seen == [None]
