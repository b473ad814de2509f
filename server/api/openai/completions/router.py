"""``POST /v1/completions``: continue a text, with a thought in between.

Does not know how to generate.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.api.begin import begin
from server.api.fields.continuing import SEALED
from server.api.openai.completions.documentation import SCHEMAS
from server.api.openai.completions.protocol import CompletionRequest
from server.api.openai.completions.request import Completion, open_completion, prepare_completion
from server.api.openai.completions.response import CompletionWriter
from server.api.openai.reply_head import ReplyHead
from server.api.openai.stream import stream_events
from server.api.openapi import add_schemas, document_reply
from server.reply.reply import collect_choices

router = APIRouter()
add_schemas(SCHEMAS)


@router.post(
    "/v1/completions",
    tags=["completions"],
    summary="Create a completion",
    openapi_extra=document_reply(CompletionRequest, reply="Completion", error="Error"),
)
async def create_completion(request: Request) -> Response:
    """Create a completion. The model thinks within `max_thinking_tokens`, then continues the text.

    The thought is hidden unless `include_reasoning` is true. Each choice's receipt, in `thinking`,
    shows its budget and how much of it was used.
    """
    context, replies = await begin(request, CompletionRequest, prepare_completion)
    body, completion = context.body, open_completion(context, replies)
    writer = CompletionWriter(
        ReplyHead(
            completion.reply_id,
            context.model.engine.model_name,
            completion.group.num_prompt_tokens,
        ),
        lists=completion.lists,
        shows_thought=completion.shows_thought,
        includes_usage=body.includes_usage,
    )
    if body.stream:

        async def write_echoes() -> list[bytes]:
            if not body.echo:
                # Whoever hangs up must know the reply's id to get its thought.
                begins = body.includes(SEALED)
                return [writer.write_begin(completion.group.num_choices)] if begins else []
            return [
                writer.write_echo(i, echo) for i, echo in enumerate(await completion.read_echoes())
            ]

        events = stream_events(writer, write_echoes, completion.stream_deltas(), context.account)
        return context.stream(events)
    return JSONResponse(await context.wait(_collect(completion, writer)))


async def _collect(completion: Completion, writer: CompletionWriter) -> dict[str, Any]:
    echoes = await completion.read_echoes()
    choices = await collect_choices(completion.stream_deltas(), completion.group.num_choices)
    return writer.write_whole(choices, echoes)
