"""An engine at a URL, as a front end sees it: its connections, and whether it may be used.

Knows neither requests of clients nor what to do when one is lost.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum

import aiohttp
import msgspec

from server.engine.remote.body import read_body
from server.engine.remote.errors import (
    EngineFailedError,
    EngineLostError,
    EngineRefusedError,
    LossCause,
    WireError,
)

_REFUSED_KEY = (401, 403)
_NOT_THE_API = (404, 405)
_OVERLOADED = (408, 425, 429)
_DETAIL_BYTES = 2000
_MAX_LIST_BYTES = 2**20


class UpstreamState(Enum):
    """State that decides whether requests are sent to an engine."""

    UNKNOWN = "unknown"  # it has not been probed yet
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Upstream:
    """An engine. `reason` says why it is not ready; it names no address."""

    url: str
    session: aiohttp.ClientSession
    state: UpstreamState = UpstreamState.UNKNOWN
    reason: str = "it has not been asked yet"
    num_open: int = 0
    # Requests were lost there since the last probe began.
    is_suspect: bool = False

    @property
    def is_ready(self) -> bool:
        """True if it passed the last probe."""
        return self.state is UpstreamState.READY

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Send a body of JSON and yield the response, which the caller may close at any time.

        Raises:
            EngineLostError: the engine cannot be reached, is silent, fails, or rejects the request.
        """
        self.num_open += 1
        try:
            with _translate_errors():
                async with self.session.post(
                    self.url + path,
                    data=body,
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as response:
                    await _check_status(response)
                    yield response
        finally:
            self.num_open -= 1

    async def get_json(self, path: str) -> object:
        """Return the JSON at a path.

        Raises:
            EngineLostError: it cannot be read.
        """
        with _translate_errors():
            async with self.session.get(self.url + path, allow_redirects=False) as response:
                await _check_status(response)
                body = await read_body(response, _MAX_LIST_BYTES)
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise WireError(f"its {path} is none of vLLM's") from error


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise EngineLostError(
            "the engine's certificate is not trusted (--engine-ca)",
            LossCause.UNREACHABLE,
            is_final=True,
        ) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise EngineLostError(
            "the engine cannot be reached", LossCause.UNREACHABLE, is_final=True
        ) from error
    except TimeoutError as error:
        raise EngineLostError("the engine is silent", LossCause.SILENT) from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineLostError("the connection to the engine is lost") from error


async def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in _REFUSED_KEY:
        raise EngineLostError(
            "the engine refuses the key (THINKING_SERVER_ENGINE_KEY)",
            LossCause.STATUS,
            is_final=True,
        )
    if status in _NOT_THE_API:
        raise EngineLostError(
            "the engine lacks the API (start it with --tokens-only)",
            LossCause.STATUS,
            is_final=True,
        )
    if 400 <= status < 500 and status not in _OVERLOADED:
        detail = (await response.content.read(_DETAIL_BYTES)).decode(errors="replace")
        raise EngineRefusedError(status, detail)
    if status == 500:  # vLLM's own; a router before it says 502, 503 or 504
        raise EngineFailedError("the engine failed on this request")
    raise EngineLostError(f"the engine answers with status {status}", LossCause.STATUS)
