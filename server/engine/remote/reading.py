"""A request whose outputs are being read from an engine, and which others may end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp

from server.engine.protocol import EngineOutput, InterruptedRequestError
from server.engine.remote.errors import EngineLostError
from server.engine.remote.journey import Journey
from server.errors.internal import GivenUpError


class Reading:
    """A request of one reader. :meth:`end` is for everybody else."""

    def __init__(self) -> None:
        self._response: aiohttp.ClientResponse | None = None
        self._waiting: asyncio.Timeout | None = None
        self._is_ended = False
        self._is_interrupted = False

    def attach(self, response: aiohttp.ClientResponse) -> None:
        """Take the response that is being read now."""
        self._response = response
        if self._is_ended:
            response.close()

    @asynccontextmanager
    async def waiting(self) -> AsyncGenerator[None, None]:
        """Wait, within, for something other than the attached response.

        Raises:
            EngineLostError: the request was ended.
        """
        try:
            async with asyncio.timeout(0.0 if self._is_ended else None) as self._waiting:
                yield
        except TimeoutError as error:
            raise EngineLostError("the request was ended") from error
        finally:
            self._waiting = None

    def end(self, *, is_interrupted: bool) -> None:
        """Have the reader lose its connection, which also aborts the request in the engine.

        The reader wakes at once. Tokens that it has not read are lost to it; an engine that has
        sent all of them is not disturbed.
        """
        self._is_ended, self._is_interrupted = True, is_interrupted
        if self._response is not None:
            self._response.close()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def raise_end(self, journey: Journey) -> None:
        """Raise what the reader is to tell, if it lost its connection because of :meth:`end`."""
        if self._is_interrupted:
            output = journey.take(EngineOutput(()))
            raise InterruptedRequestError(output, journey.written) from None
        if self._is_ended:
            raise GivenUpError("given up") from None
