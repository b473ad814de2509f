"""``/v1/responses``: create, read, delete, and the items of an input."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.account.account import account_of
from server.api.body import read_thinking_body
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.responses.items import Item
from server.api.openai.responses.output import OutputStyle
from server.api.openai.responses.output_items import ThoughtView
from server.api.openai.responses.paging import item_page
from server.api.openai.responses.protocol import ENCRYPTED_CONTENT, LOGPROBS, ResponsesRequest
from server.api.openai.responses.request import ResponseAsk, read_ask
from server.api.openai.responses.response import ResponseHead, asks_for_summary
from server.api.openai.responses.run import Keeping, ResponseRun
from server.api.openapi import chat_documentation
from server.dialects.resolution import ThinkingWish
from server.errors.api import ApiError, BadRequestError
from server.errors.internal import PromptError
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream, sse_event
from server.keys.sealed_thoughts import ThoughtSeal
from server.reply.admit import admit
from server.reply.demand import demand_of
from server.reply.prepare import prepare_reply
from server.reply.reply import Reply
from server.state import server_state
from server.stored_responses.store import ResponseShelf, StoredResponse

router = APIRouter(prefix="/v1/responses", tags=["responses"])


@router.post(
    "",
    summary="Answer items of input, thinking within a budget",
    openapi_extra=chat_documentation(ResponsesRequest, "Response"),
)
async def create_response(request: Request) -> Response:
    """Think, hidden, within a budget; then answer. `thinking` is the receipt."""
    state = server_state(request)
    model = state.ready_model()
    body, wish = await read_thinking_body(request, ResponsesRequest)
    account = account_of(request)
    seal = state.seal.of(account.key.key_id)
    ask = read_ask(body, _shelf(request), seal)
    try:
        reply = await prepare_reply(state, model, account, ask.to_reply_ask(body, wish))
    except (ApiError, PromptError) as error:
        raise ask.in_own_words(error) from error
    await run_while_connected(request, admit(state, account, demand_of([reply])))
    is_stored = body.stores and not state.responses.is_off
    keeping = Keeping(_shelf(request), ask.input, ask.previous) if is_stored else None
    run = _run(body, wish, ask, reply, seal, keeping)
    if body.stream:
        return EventStream(_encoded(run), state.settings.keep_alive_seconds)
    return JSONResponse(await run_while_connected(request, run.whole()))


@router.get("/{response_id}", summary="Read a stored response")
async def retrieve_response(request: Request, response_id: str) -> Response:
    """As it was when it had ended. Only responses in the background could be streamed again."""
    stored = _stored(request, response_id)
    if request.query_params.get("stream", "false").lower() not in ("false", "0"):
        message = "stream: only responses in the background are streamed again; there are none"
        raise BadRequestError(message, param="stream", code="invalid_value")
    return JSONResponse(stored.response)


@router.delete("/{response_id}", summary="Forget a stored response")
async def delete_response(request: Request, response_id: str) -> Response:
    """Those that went on from it keep their own copy of the conversation."""
    if not _shelf(request).delete(response_id):
        raise _not_found()
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


@router.post("/{response_id}/cancel", summary="Cancel a response in the background: there are none")
async def cancel_response(request: Request, response_id: str) -> Response:
    """Always an error: close the connection to end a response."""
    _stored(request, response_id)
    message = "only responses in the background can be cancelled, and this one has ended"
    raise BadRequestError(message, param="response_id", code="invalid_value")


@router.get("/{response_id}/input_items", summary="List the items of a stored response's input")
async def list_input_items(request: Request, response_id: str) -> Response:
    """Pages: `limit` (1 to 100), `order` (desc or asc), `after` (an item's id)."""
    stored = _stored(request, response_id)
    return JSONResponse(item_page(stored.input, request.query_params))


def _run(
    body: ResponsesRequest,
    wish: ThinkingWish,
    ask: ResponseAsk,
    reply: Reply,
    seal: ThoughtSeal,
    keeping: Keeping | None,
) -> ResponseRun:
    # A client that wants nothing stored here has to carry its thoughts itself.
    is_sealed = body.includes(ENCRYPTED_CONTENT) or not body.stores
    view = ThoughtView(
        shows=reply.shows_thought,
        summarises=asks_for_summary(wish),
        seal=seal if is_sealed else None,
    )
    logprobs = None
    if body.includes(LOGPROBS):
        logprobs = LogprobsWriter(reply.model.engine, body.top_logprobs or 0)
    return ResponseRun(
        ResponseHead(body, wish, reply, keeping is not None),
        OutputStyle(
            ask.token, view, logprobs, thinks_inside=reply.job.prompt.plan.segments is not None
        ),
        keeping,
    )


async def _encoded(run: ResponseRun) -> AsyncGenerator[bytes, None]:
    async with aclosing(run.events()) as events:
        async for event in events:
            yield sse_event(event, event["type"])


def _shelf(request: Request) -> ResponseShelf[Item]:
    return server_state(request).responses.of(account_of(request).key.key_id)


def _stored(request: Request, response_id: str) -> StoredResponse[Item]:
    stored = _shelf(request).get(response_id)
    if stored is None:
        raise _not_found()
    return stored


def _not_found() -> ApiError:
    message = "no such response is stored here: it never was, or it has been deleted since"
    return ApiError(404, message, param="response_id", code="response_not_found")
