"""A server with endless replies, as a separate process for signal tests. Prints its URL."""

import asyncio
import sys

import uvicorn

from server.app import create_app
from server.lifecycle import HttpServer, Lifecycle
from server.serve import bind_listener, format_url
from tests.server.conftest import make_services
from tests.server.test_lifecycle import make_endless_engine, return_engine


async def run() -> int:
    """Serve until stopped."""
    listener = bind_listener("127.0.0.1", 0)
    services = make_services(drain_seconds=60)
    config = uvicorn.Config(create_app(services), log_level="error", lifespan="off")
    print(format_url(listener), flush=True)  # noqa: T201
    load = lambda: return_engine(make_endless_engine())  # noqa: E731
    return await Lifecycle(HttpServer(config), listener, services, load, format_url(listener)).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
