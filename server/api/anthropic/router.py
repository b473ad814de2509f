"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``. Does not know how to generate."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.api.anthropic.content import ContentWriter, Event
from server.api.anthropic.documentation import document_messages, document_token_count
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.request import get_thought_display, prepare_message, to_reply_request
from server.api.anthropic.response import MessageHead, MessageWriter, build_message
from server.api.begin import begin, read_request
from server.choice.delta import ChoiceResult
from server.errors.api import PromptTooLongError
from server.errors.translation import report_error
from server.http.streaming import format_sse_event
from server.reply.reply import Reply

router = APIRouter(prefix="/v1/messages", tags=["messages"])


@dataclass(frozen=True, slots=True)
class MessageReply:
    """Reply in progress, and the writer of its message."""

    reply: Reply
    head: MessageHead
    writer: MessageWriter
    request_id: str

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the message as server-sent events."""
        for event in self.writer.start():
            yield _format_event(event)
        try:
            async with aclosing(self.reply.stream_deltas()) as deltas:
                async for delta in deltas:
                    # A hidden thought has no events. Yield nothing then: an empty piece would
                    # count as output and delay the keep-alive comments.
                    if events := b"".join(map(_format_event, self.writer.push(delta))):
                        yield events
        except Exception as error:
            yield _format_event(
                report_error(error, self.reply.account).to_anthropic(self.request_id)
            )

    async def collect(self) -> JSONResponse:
        """Return the whole message."""
        events: list[Event] = list(self.writer.start())
        result: ChoiceResult | None = None
        async with aclosing(self.reply.stream_deltas()) as deltas:
            async for delta in deltas:
                events += self.writer.push(delta)
                result = delta.result
        assert result is not None  # the last delta has it
        return JSONResponse(build_message(self.head, events, result))


@router.post(
    "",
    summary="Create a message",
    openapi_extra=document_messages(MessagesRequest),
)
async def create_message(request: Request) -> Response:
    """Create a message. The model thinks within `thinking.budget_tokens`, then answers.

    Other spellings of the budget are accepted too. The receipt in `thinking` shows the budget and
    how much of it was used.
    """
    context, reply = await begin(request, MessagesRequest, prepare_message)
    engine = context.model.engine
    head = MessageHead(reply.job.request_id, engine.model_name, reply.num_prompt_tokens)
    writer = MessageWriter(
        head,
        ContentWriter(get_thought_display(context), context.seal),
        opens_with_thought=reply.job.prompt.plan.opens,
    )
    message = MessageReply(reply, head, writer, request.state.request_id)
    if context.body.stream:
        return context.stream(message.stream())
    return await context.wait(message.collect())


@router.post(
    "/count_tokens",
    summary="Count tokens in a message",
    openapi_extra=document_token_count(CountTokensRequest),
)
async def count_tokens(request: Request) -> Response:
    """Count the input tokens of a message, without creating it.

    The count equals `usage.input_tokens` of the same message.
    """
    context = await read_request(request, CountTokensRequest)
    try:
        prepared = await context.prepare(to_reply_request(context))
    except PromptTooLongError as error:  # finding that out is why clients count
        return JSONResponse({"input_tokens": error.num_tokens})
    return JSONResponse({"input_tokens": prepared.demand.prompt_tokens})


def _format_event(event: Event) -> bytes:
    return format_sse_event(event, event["type"])
