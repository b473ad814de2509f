"""The other API processes, as one of them asks them: over Unix sockets that only its user can open.

Requests carry the credentials of the caller for whom they are sent. A process that does not answer
is left out and counted. Knows no reply and no metric.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.requests import Request

from server.api_processes.metrics import ProcessMetrics
from server.api_processes.place import ProcessPlace

# The longest that a process is waited for that only has to look something up.
ANSWER_SECONDS = 1.0
_FORWARDED = ("authorization", "x-api-key", "content-type", "x-request-id")
_BASE_URL = "http://localhost"


class Siblings:
    """The processes at all places but `place`."""

    def __init__(self, place: ProcessPlace, metrics: ProcessMetrics) -> None:
        self.own_number = place.number
        self._silent = metrics.silent
        self._clients = {
            number: httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(
                    uds=str(place.get_socket_path(number)),
                    verify=False,  # there is no TLS on it, and certificates take long to read
                    # A connection to a process that has been replaced meanwhile would be lost.
                    limits=httpx.Limits(max_keepalive_connections=0),
                ),
                base_url=_BASE_URL,
                timeout=ANSWER_SECONDS,
                trust_env=False,
            )
            for number in place.others
        }

    async def ask_all(
        self, request: Request, path: str, params: Mapping[str, str] | None = None
    ) -> dict[int, httpx.Response]:
        """GET `path` for the caller of `request`; return the answers by the number of the process.

        Those that do not answer in time are missing.
        """
        headers = _copy_headers(request)
        asking = [
            self._ask(number, "GET", path, seconds=ANSWER_SECONDS, headers=headers, params=params)
            for number in self._clients
        ]
        answers = zip(self._clients, await asyncio.gather(*asking), strict=True)
        return {number: answer for number, answer in answers if answer is not None}

    async def pass_on(self, number: int, request: Request) -> httpx.Response | None:
        """Have the process at `number` answer `request`, whose body has been read.

        Waits as long as its caller does. None: the process has died meanwhile.
        """
        return await self._ask(
            number,
            request.method,
            request.scope["path"],
            seconds=None,
            headers=_copy_headers(request),
            content=await request.body(),
        )

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _ask(
        self, number: int, method: str, path: str, *, seconds: float | None, **options: Any
    ) -> httpx.Response | None:
        """Return the answer of one process; None: it did not answer."""
        try:
            # httpx's own timeouts begin anew with each piece.
            async with asyncio.timeout(seconds):
                return await self._clients[number].request(method, path, timeout=seconds, **options)
        except (httpx.HTTPError, TimeoutError):
            self._silent.inc()
            return None


def _copy_headers(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in _FORWARDED if name in request.headers}
