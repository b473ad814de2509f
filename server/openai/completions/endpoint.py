"""``POST /v1/completions``: text in, text out, with a thought in between."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.account.account import account_of
from server.admission.admit import admit
from server.body import read_thinking_body
from server.disconnect import run_while_connected
from server.openai.completions.completion import Completion, prepare_completion
from server.openai.completions.protocol import CompletionRequest
from server.openai.completions.response import CompletionWriter
from server.openai.completions.schema import SCHEMAS
from server.openai.response import ReplyHead
from server.openai.streams import stream_events
from server.openapi import add_schemas, reply_documentation
from server.reply.demand import demand_of
from server.reply.reply import collected
from server.state import server_state
from server.streaming import EventStream

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
