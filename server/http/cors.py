"""Starlette's CORS middleware with our options: which web pages may use the server.

Answers a browser's preflight requests, which never have a key. Never allows credentials: a page
sends its key in a header, as any other client does.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ("GET", "HEAD", "POST", "DELETE")
_RATE_LIMITS = ("limit", "remaining", "reset")
_RATED = ("requests", "tokens", "reasoning-tokens")
# What scripts in a page may read beside the body.
EXPOSED_HEADERS = (
    "x-request-id",
    "request-id",
    "retry-after",
    "x-ignored-fields",
    *(f"x-ratelimit-{kind}-{name}" for name in _RATED for kind in _RATE_LIMITS),
    *(f"anthropic-ratelimit-{name}-{kind}" for name in _RATED for kind in _RATE_LIMITS),
)
# Browsers ask again after this time; none waits longer than two hours.
_MAX_AGE_SECONDS = 600


class OriginMiddleware(CORSMiddleware):
    """Lets pages of `origins` read responses; ``*``: of all origins."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=["*"],  # clients add headers of their own, such as x-stainless-os
            expose_headers=EXPOSED_HEADERS,
            # From a page on the internet to a server on this machine or in this network.
            allow_private_network=True,
            max_age=_MAX_AGE_SECONDS,
        )
