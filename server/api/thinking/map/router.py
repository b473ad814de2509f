"""``POST /v1/thinking/map``: measure where in a text a thought helps.

Does not know how positions are read.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.admission.deadline import enforce_deadline
from server.api.begin import RequestContext, begin_without_dialects
from server.api.openai.stream import DONE, format_error_event
from server.api.openapi import document_body
from server.api.thinking.map.billing import record_map
from server.api.thinking.map.demand import to_map_demand
from server.api.thinking.map.job import MapJob, prepare_map
from server.api.thinking.map.mapping import MapRun
from server.api.thinking.map.protocol import MapRequest
from server.api.thinking.map.reading import Position
from server.api.thinking.map.response import MapWriter
from server.errors.translation import report_error
from server.ledger.ledger import Ledger
from server.reply.admit import Prepared

router = APIRouter(prefix="/v1/thinking", tags=["map"])


@dataclass(frozen=True, slots=True)
class MapReply:
    """Map in progress, and its writer. `max_seconds` is the deadline; None: there is none.

    `ledger` None: usage is neither priced nor recorded.
    """

    run: MapRun
    writer: MapWriter
    max_seconds: float | None
    ledger: Ledger | None
    model_name: str

    async def stream_events(self) -> AsyncGenerator[bytes, None]:
        """Yield the map as server-sent events."""
        yield self.writer.format_start_event()
        positions: list[Position] = []
        try:
            async with aclosing(self._read_in_time()) as finished:
                async for position in finished:
                    positions.append(position)
                    yield self.writer.format_position_event(position, len(positions))
        except Exception as error:
            yield format_error_event(report_error(error, self.run.account))
            return
        yield self.writer.format_summary_event(positions)
        yield DONE

    async def collect_positions(self) -> list[Position]:
        """Return all positions, in the order in which they finish."""
        async with aclosing(self._read_in_time()) as finished:
            return [position async for position in finished]

    def _read_in_time(self) -> AsyncGenerator[Position, None]:
        positions = self.run.read_positions()
        in_time = enforce_deadline(positions, self.run.account, self.max_seconds)
        if self.ledger is None:
            return in_time
        return record_map(self.ledger, self.run, self.model_name, in_time)


@router.post(
    "/map",
    summary="Create a thinking map of a text",
    openapi_extra=document_body(MapRequest, streams=True),
)
async def map_text(request: Request) -> Response:
    """Create a map that shows where in a text thinking helps.

    The model thinks for at most `thought_tokens` before every token of the text. The map has the
    natural-log probability of each token without the thought, with it, and mixed.
    """
    context, job = await begin_without_dialects(request, MapRequest, _prepare)
    services, model, body = context.services, context.model, context.body
    run = MapRun(model, job, services.map_slots, context.account)
    name, seconds = model.engine.model_name, services.settings.max_request_seconds
    writer = MapWriter(run, name, is_list=isinstance(body.mix, list))
    reply = MapReply(run, writer, seconds, services.ledger, name)
    if body.stream:
        return context.stream(reply.stream_events())
    return JSONResponse(writer.to_map(await context.wait(reply.collect_positions())))


async def _prepare(context: RequestContext[MapRequest]) -> Prepared[MapJob]:
    settings = context.services.settings
    job = await prepare_map(settings, context.model, context.account.key, context.body)
    return Prepared(to_map_demand(job, settings.map_concurrency), job)
