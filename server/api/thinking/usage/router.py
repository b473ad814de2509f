"""``GET /v1/thinking/usage``: quota usage of the caller's key.

Shows no other key's usage.
"""

from typing import Any

from fastapi import APIRouter, Request

from server.account.account import get_account
from server.quotas.kinds import QUOTA_KINDS
from server.quotas.usage import QuotaUsage, format_time
from server.state import get_services

router = APIRouter(prefix="/v1/thinking", tags=["usage"])


@router.get("/usage", summary="Get quota usage")
async def get_usage(request: Request) -> dict[str, Any]:
    """Get the usage of each quota of the caller's key in its current window; null: no limit.

    Reservations of running requests count as used.
    """
    quotas, key = get_services(request).quotas, get_account(request).key
    usages = {s.window.kind.name: s for s in await quotas.get_usage(key)}
    return {
        "object": "thinking.usage",
        "key": key.key_id,
        "quotas": {
            kind.name: _to_dict(usages[kind.name]) if kind.name in usages else None
            for kind in QUOTA_KINDS
        },
    }


def _to_dict(usage: QuotaUsage) -> dict[str, Any]:
    return {
        "limit": usage.limit,
        "used": usage.used,
        "remaining": usage.remaining,
        "resets_at": format_time(usage.window.ends_at),
    }
