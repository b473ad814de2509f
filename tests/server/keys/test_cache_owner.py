"""With ``--isolate-prefix-cache``, the cache owner of every engine request is its key."""

from collections.abc import AsyncGenerator

import pytest

from server.callers.context import cache_owner
from server.engine.protocol import EngineOutput, EngineRequest
from tests.server.conftest import Served, chat_body
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, to_bearer


def record_owners(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Return a list to which each engine request appends its cache owner."""
    seen: list[str | None] = []
    generate = served.engine.generate

    def record_and_generate(request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        seen.append(cache_owner.get())
        return generate(request)

    monkeypatch.setattr(served.engine, "generate", record_and_generate)
    return seen


@pytest.mark.parametrize("stream", [False, True])
async def test_each_key_has_its_own_cache(
    serve_keys: ServeKeys, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    served = serve_keys(isolate_prefix_cache=True)
    seen = record_owners(served, monkeypatch)
    for secret in (ALICE, BOB):
        body = chat_body(n=2, stream=stream)
        response = await served.http.post(
            "/v1/chat/completions", json=body, headers=to_bearer(secret)
        )
        assert response.status_code == 200
    assert seen == ["alice", "alice", "bob", "bob"]
    assert cache_owner.get() is None


async def test_keys_share_one_cache_by_default(
    serve_keys: ServeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_keys()
    seen = record_owners(served, monkeypatch)
    await served.http.post("/v1/chat/completions", json=chat_body(), headers=to_bearer(ALICE))
    assert seen == [None]
