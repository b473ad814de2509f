"""``POST /v1/completions``: text in, text out, with a thought in between."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.account.account import account_of
from server.api.body import read_thinking_body
from server.api.openai.completions.documentation import SCHEMAS
from server.api.openai.completions.protocol import CompletionRequest
from server.api.openai.completions.request import Completion, prepare_completion
from server.api.openai.completions.response import CompletionWriter
from server.api.openai.reply_head import ReplyHead
from server.api.openai.stream import stream_events
from server.api.openapi import add_schemas, reply_documentation
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream
from server.reply.admit import admit
from server.reply.demand import demand_of
from server.reply.reply import collected
from server.state import server_state

router = APIRouter()
add_schemas(SCHEMAS)


@router.post(
    "/v1/completions",
    tags=["completions"],
    summary="Go on with a text, thinking within a budget",
    openapi_extra=reply_documentation(CompletionRequest, reply="Completion", error="Error"),
)
async def create_completion(request: Request) -> Response:
    """Think after the prompt, hidden, within `max_thinking_tokens`; then go on with it.

    Each choice has a receipt, `thinking`, of what its budget was and what was used.
    """
    state = server_state(request)
    model = state.ready_model()
    body, wish = await read_thinking_body(request, CompletionRequest)
    account = account_of(request)
    completion = await prepare_completion(state, model, account, body, wish)
    await run_while_connected(request, admit(state, account, demand_of(completion.group.replies)))
    writer = CompletionWriter(
        ReplyHead(completion.reply_id, model.engine.model_name, completion.group.num_prompt_tokens),
        lists=completion.lists,
        shows_thought=completion.shows_thought,
        includes_usage=body.includes_usage,
    )
    if body.stream:

        async def echoes() -> list[bytes]:
            if not body.echo:
                return []
            return [writer.echo(i, echo) for i, echo in enumerate(await completion.echoes())]

        events = stream_events(writer, echoes, completion.deltas(), account)
        return EventStream(events, state.settings.keep_alive_seconds)
    return JSONResponse(await run_while_connected(request, _whole(completion, writer)))


async def _whole(completion: Completion, writer: CompletionWriter) -> dict[str, Any]:
    echoes = await completion.echoes()
    choices = await collected(completion.deltas(), completion.group.num_choices)
    return writer.whole(choices, echoes)
