"""``GET /v1/thinking/{reply id}``: sealed thoughts of a reply whose client hung up.

Each key sees the thoughts of its own replies only. Does not know how they are sealed.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from fastapi import APIRouter, Request, Response

from server.account.account import get_account
from server.api.openapi import add_schemas
from server.api_processes.relay import relay_search
from server.errors.api import ApiError
from server.state import get_services
from server.stored_thoughts.store import SealedChoices

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "thinking.sealed"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "thinking": {"$ref": "#/components/schemas/Receipt"},
                },
            },
        },
    },
}
add_schemas({"SealedThoughts": SCHEMA})
router = APIRouter(prefix="/v1/thinking", tags=["thinking"])
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/SealedThoughts"}}}


@router.get(
    "/{reply_id}",
    response_model=dict[str, Any],
    summary="Get the sealed thoughts of a reply",
    openapi_extra={"responses": {"200": {"description": "The reply's.", "content": _CONTENT}}},
)
async def get_sealed_thoughts(request: Request, reply_id: str) -> dict[str, Any] | Response:
    """Get the receipts of a reply that has ended or that its client has left.

    Kept for a while, if it was requested with `include: ["thinking.sealed"]`. The receipt of a
    thought that was cut has it, sealed.
    """
    receipts = [receipt for part in _iterate_parts(request, reply_id) for receipt in part]
    if not receipts:
        if (answer := await relay_search(request)) is not None:
            return answer
        raise ApiError(
            404,
            "this server keeps nothing of such a reply: it still runs, was requested without "
            "include: ['thinking.sealed'], is another key's, or was removed to make room",
            param="reply_id",
            code="sealed_thought_not_found",
        )
    choices = [{"index": i, "thinking": receipt} for i, receipt in enumerate(receipts)]
    return {"id": reply_id, "object": "thinking.sealed", "choices": choices}


def _iterate_parts(request: Request, reply_id: str) -> Iterator[SealedChoices]:
    """Yield the choices of a reply; those of a text completion are kept by prompt."""
    store, key_id = get_services(request).sealed_thoughts, get_account(request).key.key_id
    whole = store.get(key_id, reply_id)
    if whole is not None:
        yield whole
        return
    for place in count():
        part = store.get(key_id, f"{reply_id}-{place}")
        if part is None:
            return
        yield part
