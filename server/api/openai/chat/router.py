"""``POST /v1/chat/completions``."""

import secrets

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.account.account import account_of
from server.api.body import read_thinking_body
from server.api.openai.chat.protocol import ChatCompletionRequest
from server.api.openai.chat.response import chat_completion
from server.api.openai.chat.stream import ChunkWriter
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.reply_head import ReplyHead
from server.api.openai.stream import stream_events
from server.api.openapi import chat_documentation
from server.dialects.budget_request import ThinkingFields
from server.dialects.resolution import ThinkingWish
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream
from server.prompt.conversation import Conversation
from server.reply.admit import admit
from server.reply.demand import demand_of
from server.reply.prepare import prepare_reply
from server.reply.request import ReplyAsk
from server.state import server_state

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    tags=["chat"],
    summary="Answer a conversation, thinking within a budget",
    openapi_extra=chat_documentation(ChatCompletionRequest),
)
async def create_chat_completion(request: Request) -> Response:
    """Think, hidden, within `max_thinking_tokens`; then answer.

    Each choice has a receipt, `thinking`, of what its budget was and what was used.
    """
    state = server_state(request)
    model = state.ready_model()
    body, wish = await read_thinking_body(request, ChatCompletionRequest)
    account = account_of(request)
    reply = await prepare_reply(state, model, account, _ask(body, wish))
    await run_while_connected(request, admit(state, account, demand_of([reply])))
    head = ReplyHead(reply.job.request_id, model.engine.model_name, reply.num_prompt_tokens)
    logprobs = LogprobsWriter(model.engine, body.top_logprobs or 0) if body.logprobs else None
    if body.stream:
        writer = ChunkWriter(
            head,
            includes_usage=body.includes_usage,
            logprobs=logprobs,
            names_tool=body.names_tool,
        )

        async def roles() -> list[bytes]:
            return [writer.role(reply.job.num_choices)]

        events = stream_events(writer, roles, reply.deltas(), account)
        return EventStream(events, state.settings.keep_alive_seconds)
    choices = await run_while_connected(request, reply.collect())
    return JSONResponse(
        chat_completion(
            head,
            choices,
            shows_thought=reply.shows_thought,
            logprobs=logprobs,
            names_tool=body.names_tool,
        )
    )


def _ask(body: ChatCompletionRequest, wish: ThinkingWish) -> ReplyAsk:
    return ReplyAsk(
        reply_id=f"chatcmpl-{secrets.token_hex(16)}",
        model_name=body.model,
        prompt=Conversation(
            [message.to_prompt() for message in body.messages],
            body.chat_template_kwargs or {},
            continues=bool(body.continue_final_message),
        ),
        thinking=ThinkingFields(
            wish, body.thinking_options, body.min_thinking_tokens, body.reply_limit
        ),
        sampling=body.sampling,
        num_choices=body.n or 1,
        stops=body.stop or (),
        constraint=body.constraint,
        stop_token_ids=body.stop_token_ids or (),
        tool_use=body.tool_use,
        store=body.store,
    )
