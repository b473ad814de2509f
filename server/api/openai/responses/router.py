"""``/v1/responses``: create, get, delete and compact responses, and list their input items.

Does not know how to generate.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.account.account import get_account
from server.api.begin import RequestContext, begin
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.responses.compaction import (
    COMPACTED_SCHEMA,
    CompactRequest,
    compact,
    prepare_compaction,
)
from server.api.openai.responses.items import Item
from server.api.openai.responses.output import OutputStyle
from server.api.openai.responses.output_items import ThoughtView
from server.api.openai.responses.paging import list_page
from server.api.openai.responses.protocol import ENCRYPTED_CONTENT, LOGPROBS, ResponsesRequest
from server.api.openai.responses.request import ResponseInput, prepare_response
from server.api.openai.responses.response import ResponseHead, wants_summary
from server.api.openai.responses.run import ResponseRun, StoreTarget
from server.api.openapi import add_schemas, document_chat, document_reply
from server.errors.api import ApiError, BadRequestError
from server.http.streaming import format_sse_event
from server.reply.reply import Reply
from server.state import get_services
from server.stored_responses.store import KeyResponses, StoredResponse

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
    budget and how much of it was used.
    """
    context, (given, reply) = await begin(request, ResponsesRequest, prepare_response)
    run = _open_run(context, given, reply)
    if context.body.stream:
        return context.stream(_encode_events(run))
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
    """Get a stored response. Streaming it again is not supported."""
    stored = _get_stored(request, response_id)
    if request.query_params.get("stream", "false").lower() not in ("false", "0"):
        message = "stream: only background responses can be streamed again, and there are none"
        raise BadRequestError(message, param="stream", code="invalid_value")
    return JSONResponse(stored.response)


@router.delete("/{response_id}", summary="Delete a response")
async def delete_response(request: Request, response_id: str) -> Response:
    """Delete a stored response. Follow-up responses keep their own copy of the conversation."""
    if not _get_key_responses(request).delete(response_id):
        raise _not_found_error()
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


@router.post("/{response_id}/cancel", summary="Cancel a response")
async def cancel_response(request: Request, response_id: str) -> Response:
    """Cancel a background response: always an error, as there are none. To stop one, disconnect."""
    _get_stored(request, response_id)
    message = "only background responses can be cancelled, and this one has ended"
    raise BadRequestError(message, param="response_id", code="invalid_value")


@router.get("/{response_id}/input_items", summary="List input items")
async def list_input_items(request: Request, response_id: str) -> Response:
    """List a stored response's input items, in pages.

    Query parameters: `limit` (1 to 100), `order` (desc or asc) and `after` (an item's id).
    """
    stored = _get_stored(request, response_id)
    return JSONResponse(list_page(stored.input, request.query_params))


def _open_run(
    context: RequestContext[ResponsesRequest], given: ResponseInput, reply: Reply
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
    target = None
    if body.stores and not context.services.responses.is_off:
        target = StoreTarget(_get_key_responses(context.request), given.input, given.previous)
    thinks_inside = reply.job.prompt.plan.segments is not None
    return ResponseRun(
        ResponseHead(body, context.thinking, reply, target is not None),
        OutputStyle(given.token, view, logprobs, thinks_inside=thinks_inside, toolbox=body.toolbox),
        target,
    )


async def _encode_events(run: ResponseRun) -> AsyncGenerator[bytes, None]:
    async with aclosing(run.stream_events()) as events:
        async for event in events:
            yield format_sse_event(event, event["type"])


def _get_key_responses(request: Request) -> KeyResponses[Item]:
    return get_services(request).responses.of(get_account(request).key.key_id)


def _get_stored(request: Request, response_id: str) -> StoredResponse[Item]:
    stored = _get_key_responses(request).get(response_id)
    if stored is None:
        raise _not_found_error()
    return stored


def _not_found_error() -> ApiError:
    message = "this server has no such response: it was not stored, or it has been deleted"
    return ApiError(404, message, param="response_id", code="response_not_found")
