"""A browser, and our app over a scripted engine on a real loopback socket."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import LogitsSource
from tests.clients.conftest import serve_in_thread
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services, wants
from tests.server.pages.browsing import running_browser

ServeText = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests of a module."""
    with running_browser() as started:
        yield started


@contextmanager
def serve_text(source: LogitsSource | str, **options: Any) -> Iterator[str]:
    """Serve a model that writes a text; yield the URL of the server."""
    engine = ScriptedEngine(
        wants(source) if isinstance(source, str) else source,
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=4096,
    )
    services = make_services(**options)
    services.set_engine(engine)

    async def end() -> None:
        await engine.close()
        await services.close()

    with serve_in_thread(create_app(services), end) as url:
        yield url.removesuffix("/v1")
