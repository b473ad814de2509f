"""``GET /v1/thinking/turns/{id}``: what the budget of a turn has left.

Shows no other key's turns.
"""

from typing import Any

from fastapi import APIRouter, Request

from server.account.account import get_account
from server.errors.api import ApiError
from server.state import get_services

router = APIRouter(prefix="/v1/thinking", tags=["turns"])


class UnknownTurnError(ApiError):
    """404: the caller's key has no such turn."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "this key has no turn with this id: no request has named it, or none for so long that "
            "it was forgotten",
            code="turn_not_found",
        )


@router.get("/turns/{turn_id:path}", summary="Get the budget of a turn")
async def get_turn(request: Request, turn_id: str) -> dict[str, Any]:
    """Get a turn of the caller's key: its budget in tokens, and what is used and left of it.

    Tokens that running requests hold are `reserved`. A turn begins with the first request that
    names it in `thinking_options.turn`.
    """
    key_id = get_account(request).key.key_id
    totals = await get_services(request).turns.read(key_id, turn_id)
    if totals is None:
        raise UnknownTurnError
    return {
        "object": "thinking.turn",
        "id": turn_id,
        "budget": totals.budget,
        "used": totals.used,
        "reserved": totals.reserved,
        "remaining": totals.remaining,
    }
