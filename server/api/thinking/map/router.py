"""``POST /v1/thinking/map``: where in a text a thought helps."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.account.account import account_of
from server.admission.deadline import in_time
from server.api.body import read_body
from server.api.openai.stream import DONE, error_event
from server.api.openapi import body_documentation
from server.api.thinking.map.demand import demand_of_map
from server.api.thinking.map.job import prepare_map
from server.api.thinking.map.mapping import MapRun
from server.api.thinking.map.protocol import MapRequest
from server.api.thinking.map.reading import Position
from server.api.thinking.map.response import MapWriter
from server.errors.translation import reported
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream
from server.reply.admit import admit
from server.state import server_state

router = APIRouter(prefix="/v1/thinking", tags=["map"])


@dataclass(frozen=True, slots=True)
class MapReply:
    """One map on its way, and how to write it down."""

    run: MapRun
    writer: MapWriter
    max_seconds: float | None

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The map as server-sent events."""
        yield self.writer.start_event()
        positions: list[Position] = []
        try:
            async with aclosing(self._in_time()) as finished:
                async for position in finished:
                    positions.append(position)
                    yield self.writer.position_event(position, len(positions))
        except Exception as error:
            yield error_event(reported(error, self.run.account))
            return
        yield self.writer.summary_event(positions)
        yield DONE

    async def positions(self) -> list[Position]:
        """All of them."""
        async with aclosing(self._in_time()) as finished:
            return [position async for position in finished]

    def _in_time(self) -> AsyncGenerator[Position, None]:
        return in_time(self.run.positions(), self.run.account, self.max_seconds)


@router.post(
    "/map",
    summary="Say for each token of a text how much a thought before it helps",
    openapi_extra=body_documentation(MapRequest, streams=True),
)
async def map_text(request: Request) -> Response:
    """Think at most `thought_tokens` after every position of a text.

    For each next token: its natural-log probability without the thought, with it, and mixed.
    """
    state = server_state(request)
    model = state.ready_model()
    body = await read_body(request, MapRequest)
    account = account_of(request)
    job = await prepare_map(state.settings, model, account.key, body)
    await run_while_connected(
        request, admit(state, account, demand_of_map(job, state.settings.map_concurrency))
    )
    run = MapRun(model, job, state.map_slots, account)
    writer = MapWriter(run, model.engine.model_name, is_list=isinstance(body.mix, list))
    reply = MapReply(run, writer, state.settings.max_request_seconds)
    if body.stream:
        return EventStream(reply.events(), state.settings.keep_alive_seconds)
    return JSONResponse(writer.map(await run_while_connected(request, reply.positions())))
