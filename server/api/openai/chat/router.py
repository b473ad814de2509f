"""``POST /v1/chat/completions``. Does not know how to generate."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.api.begin import begin
from server.api.openai.chat.encrypted_thoughts import ENCRYPTED_CONTENT, seal_thoughts
from server.api.openai.chat.protocol import ChatCompletionRequest
from server.api.openai.chat.request import prepare_chat
from server.api.openai.chat.response import build_chat_completion
from server.api.openai.chat.stream import ChunkWriter
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.reply_head import ReplyHead
from server.api.openai.stream import stream_events
from server.api.openapi import document_chat
from server.reply.reply import collect_choices

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    tags=["chat"],
    summary="Create a chat completion",
    openapi_extra=document_chat(ChatCompletionRequest),
)
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion. The model thinks within `max_thinking_tokens`, then answers.

    The thought is hidden unless `include_reasoning` is true. Each choice's receipt, in `thinking`,
    shows its budget and how much of it was used.
    """
    context, reply = await begin(request, ChatCompletionRequest, prepare_chat)
    body, engine = context.body, context.model.engine
    head = ReplyHead(reply.job.request_id, engine.model_name, reply.num_prompt_tokens)
    logprobs = LogprobsWriter(engine, body.top_logprobs or 0) if body.logprobs else None
    deltas = reply.stream_deltas()
    if body.includes(ENCRYPTED_CONTENT):
        deltas = seal_thoughts(deltas, context.seal, shows_thought=reply.shows_thought)
    if body.stream:
        writer = ChunkWriter(
            head,
            includes_usage=body.includes_usage,
            logprobs=logprobs,
            has_named_tool=body.has_named_tool,
        )

        async def write_roles() -> list[bytes]:
            return [writer.write_roles(reply.job.num_choices)]

        return context.stream(stream_events(writer, write_roles, deltas, context.account))
    choices = await context.wait(collect_choices(deltas, reply.job.num_choices))
    return JSONResponse(
        build_chat_completion(
            head,
            choices,
            shows_thought=reply.shows_thought,
            logprobs=logprobs,
            has_named_tool=body.has_named_tool,
        )
    )
