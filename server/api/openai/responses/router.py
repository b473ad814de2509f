"""``/v1/responses``: create, get, cancel, delete and compact responses, and list input items.

Does not know how to generate.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.api.begin import (
    RequestContext,
    admit_prepared,
    begin,
    prepare_work,
    read_request,
    reserve_prepared,
)
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.responses.background import (
    BackgroundWork,
    FinalState,
    check_background,
    parse_cursor,
    read_events,
    wants_stream,
)
from server.api.openai.responses.compaction import (
    COMPACTED_SCHEMA,
    CompactRequest,
    compact,
    prepare_compaction,
)
from server.api.openai.responses.output import OutputStyle
from server.api.openai.responses.output_items import Event, ThoughtView
from server.api.openai.responses.paging import list_page
from server.api.openai.responses.protocol import ENCRYPTED_CONTENT, LOGPROBS, ResponsesRequest
from server.api.openai.responses.records import read_records
from server.api.openai.responses.request import ResponseInput, prepare_response
from server.api.openai.responses.response import ResponseHead, wants_summary
from server.api.openai.responses.run import ResponseRun, StoreTarget
from server.api.openai.responses.socket_link import find_link, get_key_responses
from server.api.openapi import add_schemas, document_chat, document_reply
from server.errors.api import ApiError
from server.http.streaming import EventStream, format_sse_event
from server.reply.admit import Reserved
from server.reply.reply import Reply
from server.state import get_services
from server.stored_responses.stored import StoredResponse

add_schemas({"CompactedResponse": COMPACTED_SCHEMA})
router = APIRouter(prefix="/v1/responses", tags=["responses"])


@router.post(
    "",
    summary="Create a response",
    openapi_extra=document_chat(ResponsesRequest, "Response"),
)
async def create_response(request: Request) -> Response:
    """Create a response. The model thinks within the budget, then answers.

    The thought is hidden unless `include_reasoning` is true. The receipt in `thinking` shows the
    budget and how much of it was used. With `background`, the reply is the response as it is
    queued, and the model writes it whether or not the client stays.
    """
    context = await read_request(request, ResponsesRequest)
    link = find_link(request)
    if link is not None and not link.generates:
        run = _open_run(context, *(await prepare_response(context)).describe())
        return context.stream(_encode_events(run.stream_prepared()))
    context, prepared = await prepare_work(context, prepare_response)
    if context.body.background:
        return await _start_in_background(context, await reserve_prepared(context, prepared))
    given, reply = await admit_prepared(context, prepared)
    if link is not None:
        link.reply = reply
    run = _open_run(context, given, reply)
    if context.body.stream:
        return context.stream(_encode_events(run.stream_events()))
    return JSONResponse(await context.wait(run.collect()))


@router.post(
    "/compact",
    summary="Compact a conversation",
    openapi_extra=document_reply(
        CompactRequest, reply="CompactedResponse", error="Error", streams=False
    ),
)
async def compact_response(request: Request) -> Response:
    """Replace a conversation by its messages of the user and a sealed summary.

    The model writes the summary. Send `output` in place of the items that it was made of.
    """
    context, (given, reply) = await begin(request, CompactRequest, prepare_compaction)
    return JSONResponse(await context.wait(compact(context, given, reply)))


@router.get("/{response_id}", summary="Get a response")
async def retrieve_response(request: Request, response_id: str) -> Response:
    """Get a stored response, or, with `stream=true`, the events of a background response.

    `starting_after` is the `sequence_number` of the last event that the client has; those after it
    follow, up to the last one, while the response is written or later.
    """
    after, streams = parse_cursor(request.query_params), wants_stream(request.query_params)
    stored = await _get_stored(request, response_id)
    if not streams:
        return JSONResponse(stored.response)
    check_background(stored, "stream", "streamed again")
    events = read_events(get_key_responses(request), response_id, after)
    return EventStream(events, get_services(request).settings.keep_alive_seconds)


@router.delete("/{response_id}", summary="Delete a response")
async def delete_response(request: Request, response_id: str) -> Response:
    """Delete a stored response; one that is being written ends.

    Follow-up responses keep their own copy of the conversation.
    """
    if not await get_key_responses(request).delete(response_id):
        raise _not_found_error()
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


@router.post("/{response_id}/cancel", summary="Cancel a response")
async def cancel_response(request: Request, response_id: str) -> Response:
    """Cancel a background response, and get it. One that has ended stays as it is.

    Another response ends when its client disconnects.
    """
    stored: StoredResponse | None = await _get_stored(request, response_id)
    assert stored is not None
    check_background(stored, "response_id", "cancelled")
    if not stored.is_finished:
        stored = await get_key_responses(request).cancel(response_id)
    if stored is None:
        raise _not_found_error()
    return JSONResponse(stored.response)


@router.get("/{response_id}/input_items", summary="List input items")
async def list_input_items(request: Request, response_id: str) -> Response:
    """List a stored response's input items, in pages.

    Query parameters: `limit` (1 to 100), `order` (desc or asc) and `after` (an item's id).
    """
    stored = await _get_stored(request, response_id)
    return JSONResponse(list_page(read_records(stored.input), request.query_params))


async def _start_in_background(
    context: RequestContext[ResponsesRequest], reserved: Reserved[tuple[ResponseInput, Reply]]
) -> Response:
    given, reply = reserved.planned
    final = FinalState()
    target = StoreTarget(final, given.input, given.previous)
    store = get_key_responses(context.request)
    run = _make_run(context, given, reply, target, is_stored=True)
    work = BackgroundWork(context.services, store, context.account, reserved, run, target, final)
    # Not to be cut off in the middle: once it is stored, it is written.
    running = await asyncio.shield(work.start())
    if context.body.stream:
        return context.stream(running.events.read())
    return JSONResponse(running.stored.response)


def _open_run(
    context: RequestContext[ResponsesRequest], given: ResponseInput, reply: Reply
) -> ResponseRun:
    """Return the run of a response that is written for its client, and stored at its end.

    That of a socket can always be continued from on its connection.
    """
    store = get_key_responses(context.request)
    is_stored = context.body.stores and not store.is_off
    target = None
    if is_stored or find_link(context.request) is not None:
        target = StoreTarget(store, given.input, given.previous)
    return _make_run(context, given, reply, target, is_stored=is_stored)


def _make_run(
    context: RequestContext[ResponsesRequest],
    given: ResponseInput,
    reply: Reply,
    target: StoreTarget | None,
    *,
    is_stored: bool,
) -> ResponseRun:
    body, engine = context.body, context.model.engine
    # A client that does not want its responses stored has to keep the thoughts itself.
    is_sealed = body.includes(ENCRYPTED_CONTENT) or not body.stores
    view = ThoughtView(
        shows=reply.shows_thought,
        summarises=wants_summary(context.thinking),
        seal=context.seal if is_sealed else None,
    )
    logprobs = None
    if body.includes(LOGPROBS):
        logprobs = LogprobsWriter(engine, body.top_logprobs or 0)
    thinks_inside = reply.job.prompt.plan.segments is not None
    return ResponseRun(
        ResponseHead(body, context.thinking, reply, is_stored),
        OutputStyle(given.token, view, logprobs, thinks_inside=thinks_inside, toolbox=body.toolbox),
        target,
    )


async def _encode_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            yield format_sse_event(event, event["type"])


async def _get_stored(request: Request, response_id: str) -> StoredResponse:
    stored = await get_key_responses(request).get(response_id)
    if stored is None:
        raise _not_found_error()
    return stored


def _not_found_error() -> ApiError:
    message = "this server has no such response: it was not stored, or it has been deleted"
    return ApiError(404, message, param="response_id", code="response_not_found")
