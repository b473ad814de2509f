"""Detects that a client has disconnected before its response is ready."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

ResultT = TypeVar("ResultT")


class ClientLeftError(Exception):
    """The client has disconnected and does not wait for the response."""


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client has disconnected. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_while_connected(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await `work`, and cancel it as soon as the client disconnects.

    Raises:
        ClientLeftError: the client disconnected first.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeftError
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
