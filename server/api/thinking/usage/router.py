"""``GET /v1/thinking/usage``: how the caller's key stands with its quotas.

Tells of no key but the caller's own.
"""

from typing import Any

from fastapi import APIRouter, Request

from server.account.account import account_of
from server.quotas.kinds import QUOTA_KINDS
from server.quotas.standing import QuotaStanding, moment
from server.state import server_state

router = APIRouter(prefix="/v1/thinking", tags=["usage"])


@router.get("/usage", summary="Say what your key has used of its quotas, and what is left")
async def get_usage(request: Request) -> dict[str, Any]:
    """Each quota of the caller's key in its window of now; null: no limit.

    What running requests have reserved counts as used.
    """
    quotas, key = server_state(request).quotas, account_of(request).key
    standings = {s.window.kind.name: s for s in await quotas.standings(key)}
    return {
        "object": "thinking.usage",
        "key": key.key_id,
        "quotas": {
            kind.name: _written(standings[kind.name]) if kind.name in standings else None
            for kind in QUOTA_KINDS
        },
    }


def _written(standing: QuotaStanding) -> dict[str, Any]:
    return {
        "limit": standing.limit,
        "used": standing.used,
        "remaining": standing.remaining,
        "resets_at": moment(standing.window.ends_at),
    }
