"""The same laws over a store in memory, and over two servers on one Redis."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server.keys.sealed_thoughts import KEYS_VARIABLE
from tests.ops.programs import free_port
from tests.ops.test_quota_redis import redis_at
from tests.server.api.openai.responses.background.servers import THOUGHT_KEYS, Pair, open_pair
from tests.server.keys.conftest import KeyFile


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running Redis."""
    port = free_port()
    with redis_at(port, tmp_path_factory.mktemp("redis") / "redis.log"):
        yield port


@pytest.fixture(autouse=True, scope="module")
def thought_keys() -> Iterator[None]:
    """The same sealing keys for all servers."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv(KEYS_VARIABLE, THOUGHT_KEYS)
        yield


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """A key file, to be written."""
    return KeyFile(tmp_path / "keys.toml")


@pytest.fixture(params=["memory", "redis"], scope="module")
def store_port(request: pytest.FixtureRequest) -> int | None:
    """The port of a Redis; None: the store is in memory."""
    port: int | None = None
    if request.param == "redis":
        port = request.getfixturevalue("redis_port")
    return port


MakePair = Callable[..., Any]


@pytest_asyncio.fixture
async def serve_pair(store_port: int | None) -> AsyncIterator[MakePair]:
    """Opens pairs: ``await serve_pair(text, settings options …)``."""
    async with AsyncExitStack() as stack:

        async def make(*text: str, **options: Any) -> Pair:
            return await stack.enter_async_context(open_pair(store_port, *text, **options))

        yield make
