"""``POST /v1/thinking/{id}`` and llama.cpp's ``POST /v1/chat/completions/control``.

Does not know how an order is carried out.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from server.account.account import get_account
from server.api.body import read_body
from server.api.openapi import document_body
from server.api.thinking.control.protocol import CompletionControlRequest, ThinkingControlRequest
from server.api_processes.relay import relay_order
from server.http.disconnect import run_while_connected
from server.reply.control import (
    ControlledChoice,
    ControlRequest,
    ReplyNotFoundError,
    control_reply,
)
from server.state import get_services
from thinking.command import CommandAction

router = APIRouter()


@router.post(
    "/v1/thinking/{reply_id}",
    response_model=dict[str, Any],
    tags=["thinking"],
    summary="Control a running thought",
    openapi_extra=document_body(ThinkingControlRequest),
)
async def control_thinking(request: Request, reply_id: str) -> dict[str, Any] | Response:
    """End, extend or add to the thought of a running reply, by the key that has begun it.

    Answers when that has taken effect, with the tokens of thought so far and the budget of each
    choice. The id is the reply's, on any API, or the `x-request-id` of its request.
    """
    body = await read_body(request, ThinkingControlRequest)
    choices = await _control(request, body.to_request(reply_id))
    if isinstance(choices, Response):
        return choices
    return {
        "id": reply_id,
        "object": "thinking.control",
        "action": body.action,
        "choices": [_to_dict(choice, body.action) for choice in choices],
    }


@router.post(
    "/v1/chat/completions/control",
    response_model=dict[str, Any],
    tags=["chat"],
    summary="End a running thought (llama.cpp's spelling)",
    openapi_extra=document_body(CompletionControlRequest),
)
async def control_completion(request: Request) -> dict[str, Any] | Response:
    """End the thoughts of a running completion. No field of its request has to allow it."""
    body = await read_body(request, CompletionControlRequest)
    answer = await _control(request, body.to_request())
    return answer if isinstance(answer, Response) else {"success": True}


async def _control(
    request: Request, wanted: ControlRequest
) -> Sequence[ControlledChoice] | Response:
    """Carry out an order; return its choices, or the answer of another API process."""
    services, key = get_services(request), get_account(request).key
    try:
        return await run_while_connected(request, control_reply(services, key, wanted))
    except ReplyNotFoundError:
        answer = await relay_order(request, wanted.reply_id)
        if answer is None:
            raise
        return answer


_GRANTS = {CommandAction.EXTEND.value: "extended", CommandAction.ADD.value: "injected"}


def _to_dict(choice: ControlledChoice, action: str) -> dict[str, Any]:
    applied = choice.refusal is None
    granted = {_GRANTS[action]: choice.num_granted} if applied and action in _GRANTS else {}
    return {
        "index": choice.index,
        "applied": applied,
        "used": choice.outcome.used,
        "budget": choice.outcome.budget,
        **granted,
    }
