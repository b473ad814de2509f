"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``. Does not know how to generate."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.api.anthropic.content import ContentWriter, Event
from server.api.anthropic.documentation import document_messages, document_token_count
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.request import (
    count_prompt_tokens,
    edit_context,
    get_thought_display,
    has_estimates,
    note_unused,
    prepare_message,
    without_earlier_thought,
)
from server.api.anthropic.response import MessageHead, MessageWriter, build_message
from server.api.begin import begin, read_request
from server.api.ignored import note_ignored
from server.choice.delta import ChoiceResult
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
    context, (applied, reply) = await begin(request, MessagesRequest, prepare_message)
    diagnostics = context.body.diagnostics
    head = MessageHead(
        reply.job.request_id,
        context.model.engine.model_name,
        reply.num_prompt_tokens,
        fits_context=reply.job.prompt.budget.max_tokens >= context.body.max_tokens,
        applied_edits=applied,
        is_diagnosed=diagnostics is not None and diagnostics.previous_message_id is not None,
    )
    writer = MessageWriter(
        head,
        ContentWriter(
            get_thought_display(context),
            context.seal,
            has_estimates=has_estimates(context),
            turn=context.turn,
        ),
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

    The count equals `usage.input_tokens` plus `usage.cache_read_input_tokens` of the same message.
    """
    context = await read_request(request, CountTokensRequest)
    note_unused(context)
    note = partial(note_ignored, request)
    edited, applied = await edit_context(context)
    counted: dict[str, Any] = {"input_tokens": await count_prompt_tokens(edited, note)}
    if applied is not None:
        whole = without_earlier_thought(context)
        original = await count_prompt_tokens(whole) if applied else counted["input_tokens"]
        counted["context_management"] = {"original_input_tokens": original}
    return JSONResponse(counted)


def _format_event(event: Event) -> bytes:
    return format_sse_event(event, event["type"])
