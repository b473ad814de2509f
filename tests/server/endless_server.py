"""A server whose replies never end, as a process of its own; prints its URL. To send signals to."""

import asyncio
import sys

import uvicorn

from server.app import create_app
from server.lifecycle import HttpServer, Lifecycle
from server.serve import bound_listener, url_of
from tests.server.conftest import make_state
from tests.server.test_lifecycle import endless_engine, loaded


async def run() -> int:
    """Serve until stopped."""
    listener = bound_listener("127.0.0.1", 0)
    state = make_state(drain_seconds=60)
    config = uvicorn.Config(create_app(state), log_level="error", lifespan="off")
    print(url_of(listener), flush=True)  # noqa: T201
    load = lambda: loaded(endless_engine())  # noqa: E731
    return await Lifecycle(HttpServer(config), listener, state, load, url_of(listener)).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
