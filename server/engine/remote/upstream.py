"""An engine at a URL, as a front end sees it: its connections, and whether it may be used.

Knows neither requests of clients nor what to do when one is lost.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

import aiohttp

from server.engine.remote.errors import EngineLostError
from server.errors.internal import EngineRequestError

_REFUSED_KEY = (401, 403)
_NOT_THE_API = (404, 405)
_DETAIL_BYTES = 2000


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
    # A request was lost there since the last probe.
    is_suspect: bool = False

    @property
    def is_ready(self) -> bool:
        """True if requests may be sent to it."""
        return self.state is UpstreamState.READY

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Send a body of JSON and yield the response, which the caller may close at any time.

        Raises:
            EngineLostError: the engine cannot be reached, is silent, or fails.
            EngineRequestError: it rejects the request.
        """
        self.num_open += 1
        try:
            async with self.session.post(
                self.url + path, data=body, headers={"Content-Type": "application/json"}
            ) as response:
                await _check_status(response)
                yield response
        except TimeoutError as error:
            raise EngineLostError("the engine is silent") from error
        except aiohttp.ClientConnectorError as error:
            raise EngineLostError("the engine cannot be reached", is_final=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineLostError("the connection to the engine is lost") from error
        finally:
            self.num_open -= 1

    async def get_json(self, path: str) -> object:
        """Return the JSON at a path.

        Raises:
            EngineLostError: it cannot be read.
        """
        try:
            async with self.session.get(self.url + path) as response:
                await _check_status(response)
                return await response.json(content_type=None)
        except TimeoutError as error:
            raise EngineLostError("the engine is silent") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineLostError("the engine cannot be reached") from error
        except (ValueError, EngineRequestError) as error:
            raise EngineLostError(f"its {path} is none of vLLM's") from error


async def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in _REFUSED_KEY:
        raise EngineLostError(
            "the engine refuses the key (THINKING_SERVER_ENGINE_KEY)", is_final=True
        )
    if status in _NOT_THE_API:
        raise EngineLostError(
            "the engine lacks the API (start it with --tokens-only)", is_final=True
        )
    if 400 <= status < 500 and status not in (408, 425, 429):
        detail = (await response.content.read(_DETAIL_BYTES)).decode(errors="replace")
        raise EngineRequestError(detail)
    raise EngineLostError(f"the engine answers with status {status}")
