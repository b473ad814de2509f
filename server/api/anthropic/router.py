"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.api.anthropic.content import ContentWriter, Event
from server.api.anthropic.documentation import count_documentation, message_documentation
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.request import prepare_message, thought_display, to_reply_request
from server.api.anthropic.response import MessageHead, MessageWriter, whole_message
from server.api.begin import begin, read_request
from server.choice.delta import ChoiceResult
from server.errors.api import PromptTooLongError
from server.errors.translation import report_error
from server.http.streaming import format_sse_event
from server.reply.reply import Reply

router = APIRouter(prefix="/v1/messages", tags=["messages"])


@dataclass(frozen=True, slots=True)
class MessageReply:
    """One message on its way, and how to write it down."""

    reply: Reply
    head: MessageHead
    writer: MessageWriter
    request_id: str

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The message as server-sent events."""
        for event in self.writer.start():
            yield _sse(event)
        try:
            async with aclosing(self.reply.deltas()) as deltas:
                async for delta in deltas:
                    # Nothing of a hidden thought: the stream must know that it is silent.
                    if events := b"".join(map(_sse, self.writer.push(delta))):
                        yield events
        except Exception as error:
            yield _sse(report_error(error, self.reply.account).to_anthropic(self.request_id))

    async def whole(self) -> JSONResponse:
        """The message at once."""
        events: list[Event] = list(self.writer.start())
        result: ChoiceResult | None = None
        async with aclosing(self.reply.deltas()) as deltas:
            async for delta in deltas:
                events += self.writer.push(delta)
                result = delta.result
        assert result is not None  # of the last delta
        return JSONResponse(whole_message(self.head, events, result))


@router.post(
    "",
    summary="Create a message",
    openapi_extra=message_documentation(MessagesRequest),
)
async def create_message(request: Request) -> Response:
    """Think within `thinking.budget_tokens`, or any other budget; then answer.

    The message has a receipt, `thinking`, of what its budget was and what was used.
    """
    context, reply = await begin(request, MessagesRequest, prepare_message)
    engine = context.model.engine
    head = MessageHead(reply.job.request_id, engine.model_name, reply.num_prompt_tokens)
    writer = MessageWriter(
        head,
        ContentWriter(thought_display(context), context.seal),
        opens_with_thought=reply.job.prompt.plan.opens,
    )
    message = MessageReply(reply, head, writer, request.state.request_id)
    if context.body.stream:
        return context.stream(message.stream())
    return await context.wait(message.whole())


@router.post(
    "/count_tokens",
    summary="Count tokens in a message",
    openapi_extra=count_documentation(CountTokensRequest),
)
async def count_tokens(request: Request) -> Response:
    """Return what `usage.input_tokens` of the same message would be."""
    context = await read_request(request, CountTokensRequest)
    try:
        prepared = await context.prepare(to_reply_request(context))
    except PromptTooLongError as error:  # which is what a client counts for
        return JSONResponse({"input_tokens": error.num_tokens})
    return JSONResponse({"input_tokens": prepared.demand.prompt_tokens})


def _sse(event: Event) -> bytes:
    return format_sse_event(event, event["type"])
