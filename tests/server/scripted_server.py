"""A server with a scripted engine, as a process of its own. Prints its URL.

Arguments: the text that the engine writes. Options come from the environment.
"""

import asyncio
import sys

import uvicorn

from server.app import create_app
from server.lifecycle import HttpServer, Lifecycle
from server.serve import bind_listener, format_url
from tests.server.conftest import make_services
from tests.server.test_lifecycle import make_endless_engine, make_engine, return_engine


async def run(text: str) -> int:
    """Serve until stopped."""
    listener = bind_listener("127.0.0.1", 0)
    services = make_services()
    config = uvicorn.Config(
        create_app(services), log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    print(format_url(listener), flush=True)  # noqa: T201
    engine = make_engine(text) if text else make_endless_engine()
    load = lambda: return_engine(engine)  # noqa: E731
    return await Lifecycle(HttpServer(config), listener, services, load, format_url(listener)).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(run("".join(sys.argv[1:]))))
