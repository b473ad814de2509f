"""The server's trace endpoints, as calls.

Knows the paths and how pages follow each other; not what the traces are for.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clients.connection import Connection, add_connection_options
from clients.errors import CommandError
from clients.traces.trace import Trace

if TYPE_CHECKING:
    import httpx

TOKEN_VARIABLE = "THINKING_SERVER_TRACE_TOKEN"  # noqa: S105 - its name
PAGE_TRACES = 200
NEXT_HEADER = "x-next-after"
RETRY_SECONDS = 1.0


def add_trace_options(parser: argparse.ArgumentParser) -> None:
    """Add the connection's options and which traces to read."""
    add_connection_options(parser)
    group = parser.add_argument_group("traces")
    group.add_argument(
        "--since", metavar="TIME", help="only traces from this time on: 2026-01-31 or Unix seconds"
    )


def trace_connection(arguments: argparse.Namespace) -> Connection:
    """The connection, with the trace token as its key where the environment has one."""
    connection = Connection.from_arguments(arguments)
    token = os.environ.get(TOKEN_VARIABLE)
    return replace(connection, api_key=token) if token else connection


class TraceApi:
    """Calls on an open HTTP client; retries what may pass."""

    def __init__(self, connection: Connection, client: "httpx.AsyncClient") -> None:
        self._connection = connection
        self._client = client

    async def traces(self, since: str | None = None) -> AsyncIterator[Trace]:
        """All traces in the order in which they came.

        Raises:
            CommandError: the server cannot be reached, refuses, or sends something else.
        """
        after: str | None = "0"
        parameters = {"limit": str(PAGE_TRACES), **({"since": since} if since else {})}
        while after is not None:
            page = await self._send("GET", "thinking/traces", params=parameters | {"after": after})
            # Not splitlines(): a text may hold other ends of lines.
            for line in filter(None, page.content.split(b"\n")):
                yield self._trace(line)
            after = page.headers.get(NEXT_HEADER)

    async def give_feedback(self, body: dict[str, Any]) -> None:
        """Post a verdict.

        Raises:
            CommandError: see :meth:`traces`.
        """
        await self._send("POST", "thinking/feedback", json=body)

    def _trace(self, line: bytes) -> Trace:
        try:
            return Trace.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in fault["loc"])
            raise self._failure(f"sent no trace ({where}: {fault['msg']})") from error

    async def _send(self, method: str, path: str, **content: Any) -> "httpx.Response":
        import httpx

        tries_left = self._connection.max_retries
        while True:
            try:
                response = await self._client.request(method, path, **content)
            except httpx.TimeoutException as error:
                raise self._failure("no answer in time (--timeout)") from error
            except httpx.HTTPError as error:
                raise self._failure(f"cannot be reached ({error})") from error
            if response.is_success:
                return response
            if response.status_code not in (429, 503) or not tries_left:
                raise self._failure(f"{response.status_code}: {_message(response)}")
            tries_left -= 1
            await asyncio.sleep(RETRY_SECONDS)

    def _failure(self, reason: str) -> CommandError:
        return CommandError(f"{self._connection.base_url}: {reason}")


def _message(response: "httpx.Response") -> str:
    """The server's own words, where it has some."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
