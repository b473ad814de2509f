"""Noticing that a client has left before its answer is ready."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

ResultT = TypeVar("ResultT")


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has left. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_while_connected(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await `work`, or cancel it as soon as the client leaves.

    Raises:
        ClientLeftError: the client left first.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(until_disconnect(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeftError
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
