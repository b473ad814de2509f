"""Reads whole bodies of engines, up to a limit."""

import aiohttp

from server.engine.remote.errors import WireError


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of a response.

    Raises:
        WireError: it is longer than `max_bytes`.
        aiohttp.ClientError: the connection is lost.
    """
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > max_bytes:
            raise WireError("an answer of the engine is too long")
    return bytes(body)
