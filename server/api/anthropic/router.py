"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.account.account import account_of
from server.api.anthropic.content import ContentWriter, Event, ThoughtDisplay
from server.api.anthropic.conversation import conversation_of
from server.api.anthropic.documentation import count_documentation, message_documentation
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.response import MessageHead, MessageWriter, whole_message
from server.api.anthropic.tools import tool_use
from server.api.body import read_thinking_body
from server.choice.delta import ChoiceResult
from server.dialects.budget_request import ThinkingFields
from server.dialects.resolution import ThinkingWish
from server.errors.api import PromptTooLongError
from server.errors.translation import reported
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream, sse_event
from server.keys.sealed_thoughts import ThoughtSeal
from server.reply.admit import admit
from server.reply.demand import demand_of
from server.reply.prepare import prepare_reply
from server.reply.reply import Reply
from server.reply.request import ReplyAsk
from server.state import server_state

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
            yield _sse(reported(error, self.reply.account).to_anthropic(self.request_id))

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
    summary="Answer a conversation in Anthropic's form, thinking within a budget",
    openapi_extra=message_documentation(MessagesRequest),
)
async def create_message(request: Request) -> Response:
    """Think within `thinking.budget_tokens`, or any other budget; then answer.

    The message has a receipt, `thinking`, of what its budget was and what was used.
    """
    state = server_state(request)
    model = state.ready_model()
    body, wish = await read_thinking_body(request, MessagesRequest)
    account = account_of(request)
    shows_thoughts = state.settings.show_thoughts and account.key.shows_thoughts
    display = _display(wish, shows_thoughts=shows_thoughts)
    seal = state.seal.of(account.key.key_id)
    reply = await prepare_reply(state, model, account, _ask(seal, body, wish, display))
    await run_while_connected(request, admit(state, account, demand_of([reply])))
    head = MessageHead(reply.job.request_id, model.engine.model_name, reply.num_prompt_tokens)
    writer = MessageWriter(
        head,
        ContentWriter(display, seal),
        opens_with_thought=reply.job.prompt.plan.opens,
    )
    message = MessageReply(reply, head, writer, request.state.request_id)
    if body.stream:
        return EventStream(message.stream(), state.settings.keep_alive_seconds)
    return await run_while_connected(request, message.whole())


@router.post(
    "/count_tokens",
    summary="Count the tokens of a prompt, without an answer",
    openapi_extra=count_documentation(CountTokensRequest),
)
async def count_tokens(request: Request) -> Response:
    """What `usage.input_tokens` of the same message would be."""
    state = server_state(request)
    model = state.ready_model()
    body, wish = await read_thinking_body(request, CountTokensRequest)
    account = account_of(request)
    ask = _count_ask(state.seal.of(account.key.key_id), body, wish)
    try:
        reply = await prepare_reply(state, model, account, ask)
    except PromptTooLongError as error:  # which is what a client counts for
        return JSONResponse({"input_tokens": error.num_tokens})
    return JSONResponse({"input_tokens": reply.num_prompt_tokens})


def _count_ask(seal: ThoughtSeal, body: CountTokensRequest, wish: ThinkingWish) -> ReplyAsk:
    return ReplyAsk(
        reply_id=f"msg_{secrets.token_hex(12)}",
        model_name=body.model,
        prompt=conversation_of(body, seal),
        thinking=ThinkingFields(wish, body.thinking_options, body.min_thinking_tokens),
        tool_use=tool_use(body.tools, body.tool_choice),
    )


def _ask(
    seal: ThoughtSeal, body: MessagesRequest, wish: ThinkingWish, display: ThoughtDisplay
) -> ReplyAsk:
    asked = _count_ask(seal, body, wish)
    return replace(
        asked,
        thinking=replace(asked.thinking, reply_limit=body.max_tokens),
        sampling=body.sampling,
        stops=body.stop_sequences or (),
        constraint=body.constraint,
        keeps_thought=display is not ThoughtDisplay.NONE,
    )


def _display(wish: ThinkingWish, *, shows_thoughts: bool) -> ThoughtDisplay:
    if wish.shows_thought:
        return ThoughtDisplay.SHOWN
    if wish.switch is None or not wish.switch.value:
        return ThoughtDisplay.NONE
    return ThoughtDisplay.OMITTED if shows_thoughts else ThoughtDisplay.REDACTED


def _sse(event: Event) -> bytes:
    return sse_event(event, event["type"])
