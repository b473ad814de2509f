"""Requests a map from a server and follows its progress.

Knows the wire format; not what the map is for.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from clients.connection import Connection
from clients.errors import CommandError
from clients.mapping.thought_map import Position, Summary, ThoughtMap

if TYPE_CHECKING:
    import httpx

PATH = "thinking/map"
RETRY_SECONDS = 1.0
DONE = "[DONE]"
ModelT = TypeVar("ModelT", bound=BaseModel)
OnProgress = Callable[[int, int], None]


class MapStream:
    """Client of one server's map endpoint."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, request: dict[str, Any], on_progress: OnProgress) -> ThoughtMap:
        """Return the map for the body `request`; `on_progress` is called with done and total.

        Raises:
            CommandError: the server cannot be reached, refuses, fails, or sends an invalid map.
        """
        positions: list[Position] = []
        async with self._connection.make_http_client() as client:
            response = await self._open(client, request | {"stream": True})
            try:
                async with aclosing(self._iterate_events(response)) as events:
                    async for event in events:
                        if event.get("object") == "thinking.map":
                            summary = self._read(Summary, event)
                            return ThoughtMap.join(summary, positions, request)
                        if event.get("object") == "thinking.map.position":
                            positions.append(self._read(Position, event.get("position")))
                        on_progress(len(positions), int(event.get("total", 0)))
            finally:
                await response.aclose()
        raise self._make_error("the stream ended before the map was complete")

    async def _open(self, client: "httpx.AsyncClient", body: dict[str, Any]) -> "httpx.Response":
        import httpx

        tries_left = self._connection.max_retries
        while True:
            try:
                request = client.build_request("POST", PATH, json=body)
                response = await client.send(request, stream=True)
                if response.is_success:
                    return response
                await response.aread()
            except httpx.HTTPError as error:
                raise self._to_connection_error(error) from error
            await response.aclose()
            if response.status_code not in (429, 503) or not tries_left:
                raise self._make_error(f"{response.status_code}: {_get_message(response)}")
            tries_left -= 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _iterate_events(
        self, response: "httpx.Response"
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the JSON events; comments are skipped."""
        import httpx

        try:
            async for line in response.aiter_lines():
                name, _, text = line.partition(": ")
                if name != "data":
                    continue
                if text == DONE:
                    return
                yield self._parse_event(text)
        except httpx.HTTPError as error:
            raise self._to_connection_error(error) from error

    def _parse_event(self, text: str) -> dict[str, Any]:
        try:
            event = json.loads(text)
        except ValueError as error:
            raise self._make_error("sent an event that is not JSON") from error
        if not isinstance(event, dict):
            raise self._make_error("sent an event that is not an object")
        if fault := event.get("error"):
            said = fault.get("message") if isinstance(fault, dict) else fault
            raise self._make_error(str(said))
        return event

    def _read(self, model: type[ModelT], value: Any) -> ModelT:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in fault["loc"])
            raise self._make_error(f"sent an invalid map ({where}: {fault['msg']})") from error

    def _to_connection_error(self, error: "httpx.HTTPError") -> CommandError:
        import httpx

        if isinstance(error, httpx.TimeoutException):
            return self._make_error("no answer in time (--timeout)")
        return self._make_error(f"cannot be reached ({str(error) or type(error).__name__})")

    def _make_error(self, reason: str) -> CommandError:
        return CommandError(f"{self._connection.base_url}: {reason}")


def _get_message(response: "httpx.Response") -> str:
    """Return the server's own message, if it sent one."""
    try:
        said = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = response.reason_phrase
    if response.status_code in (404, 405) and "model" not in said:
        said += "; only thinking-server can make maps, and --url should end in /v1"
    return said
