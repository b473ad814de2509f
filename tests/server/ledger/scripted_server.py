"""A server over a scripted engine, as a separate process that a test may kill. Prints its URL.

Its options are those of the environment, like those of a real server.
"""

import asyncio
import sys

import uvicorn

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.lifecycle import HttpServer, Lifecycle
from server.serve import bind_listener, format_url
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services, wants
from tests.server.test_lifecycle import return_engine

TEXT = "so it is, or so it seems</think>Seven, I think."


async def run() -> int:
    """Serve until stopped."""
    listener = bind_listener("127.0.0.1", 0)
    services = make_services()
    config = uvicorn.Config(create_app(services), log_level="error", lifespan="off")
    print(format_url(listener), flush=True)  # noqa: T201
    profile = PROFILES["special markers"]
    engine = ScriptedEngine(wants(TEXT), TOKENIZER, profile, model_name=MODEL)
    http = HttpServer(config)
    url = format_url(listener)
    return await Lifecycle(http, listener, services, lambda: return_engine(engine), url).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
