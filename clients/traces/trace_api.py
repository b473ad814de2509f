"""Client of the server's trace endpoints.

Knows the paths and the paging; not what the traces are for.
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
    """Add the connection options and the selection of traces."""
    add_connection_options(parser)
    group = parser.add_argument_group("traces")
    group.add_argument(
        "--since", metavar="TIME", help="only traces from this time on: 2026-01-31 or Unix seconds"
    )


def make_trace_connection(arguments: argparse.Namespace) -> Connection:
    """Return the connection, with the trace token as its key if the environment has one."""
    connection = Connection.from_arguments(arguments)
    token = os.environ.get(TOKEN_VARIABLE)
    return replace(connection, api_key=token) if token else connection


class TraceApi:
    """Calls over an open HTTP client, with retries of temporary failures."""

    def __init__(self, connection: Connection, client: "httpx.AsyncClient") -> None:
        self._connection = connection
        self._client = client

    async def iterate_traces(self, since: str | None = None) -> AsyncIterator[Trace]:
        """Yield all traces in the order in which they were stored.

        Raises:
            CommandError: the server cannot be reached, refuses, or sends something else.
        """
        after: str | None = "0"
        parameters = {"limit": str(PAGE_TRACES), **({"since": since} if since else {})}
        while after is not None:
            page = await self._send("GET", "thinking/traces", params=parameters | {"after": after})
            # Not splitlines(): a text may contain other line separators.
            for line in filter(None, page.content.split(b"\n")):
                yield self._parse_trace(line)
            after = page.headers.get(NEXT_HEADER)

    async def give_feedback(self, body: dict[str, Any]) -> None:
        """Post a verdict.

        Raises:
            CommandError: see :meth:`iterate_traces`.
        """
        await self._send("POST", "thinking/feedback", json=body)

    def _parse_trace(self, line: bytes) -> Trace:
        try:
            return Trace.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in fault["loc"])
            raise self._make_error(f"sent an invalid trace ({where}: {fault['msg']})") from error

    async def _send(self, method: str, path: str, **content: Any) -> "httpx.Response":
        import httpx

        tries_left = self._connection.max_retries
        while True:
            try:
                response = await self._client.request(method, path, **content)
            except httpx.TimeoutException as error:
                raise self._make_error("no answer in time (--timeout)") from error
            except httpx.HTTPError as error:
                raise self._make_error(f"cannot be reached ({error})") from error
            if response.is_success:
                return response
            if response.status_code not in (429, 503) or not tries_left:
                raise self._make_error(f"{response.status_code}: {_get_message(response)}")
            tries_left -= 1
            await asyncio.sleep(RETRY_SECONDS)

    def _make_error(self, reason: str) -> CommandError:
        return CommandError(f"{self._connection.base_url}: {reason}")


def _get_message(response: "httpx.Response") -> str:
    """Return the server's own message, if it sent one."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
