"""Access control for traces, which contain hidden thoughts and other callers' prompts.

Traces may be read with a key that has `reads_traces`, or with the token from the environment.
Without keys and token, only clients on this machine may read them, and only if the server shows
thoughts anyway. Feedback reveals nothing: a key may give it on its own requests, one with
`reads_traces` on all.
"""

import hmac
import os

from fastapi import Request

from server.account.account import get_account
from server.errors.api import ApiError, NotAllowedError
from server.keys.credentials import read_presented_secret
from server.keys.key import ANONYMOUS, ANONYMOUS_ID, AccessKey
from server.keys.loopback import is_loopback, read_host_names

TOKEN_VARIABLE = "THINKING_SERVER_TRACE_TOKEN"  # noqa: S105 - its name
MIN_TOKEN_LENGTH = 16
# Behind a proxy on this machine, every client appears to be local.
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class TraceTokenError(ValueError):
    """The token in the environment is invalid."""


class TraceAccess:
    """Access control for the traces of one server. No `repr` contains the token."""

    def __init__(self, token: str | None, *, shows_thoughts: bool) -> None:
        self._token = token.encode() if token else None
        self._shows_thoughts = shows_thoughts

    @classmethod
    def from_environment(cls, *, shows_thoughts: bool) -> "TraceAccess":
        """Return access control with the token of the environment, if there is one.

        Raises:
            TraceTokenError: the token is too short.
        """
        token = os.environ.get(TOKEN_VARIABLE)
        if token and len(token) < MIN_TOKEN_LENGTH:
            raise TraceTokenError(
                f"{TOKEN_VARIABLE} should have at least {MIN_TOKEN_LENGTH} characters"
            )
        return cls(token, shows_thoughts=shows_thoughts)

    def find_key(self, secret: bytes) -> AccessKey | None:
        """Return the anonymous key if `secret` is the token, else None."""
        return ANONYMOUS if self._is_token(secret) else None

    def check(self, request: Request) -> None:
        """Raise ApiError unless the client may read and delete traces.

        Raises:
            ApiError: 401 for a missing or wrong token; 403 if no token could grant access.
        """
        key = get_account(request).key
        if key.reads_traces:
            return
        if key.key_id != ANONYMOUS_ID:
            raise NotAllowedError("this key may not read traces (reads_traces)")
        if self._token is not None:
            if not self._is_token(read_presented_secret(request.scope) or b""):
                raise _to_token_error()
        elif not (self._shows_thoughts and _is_local(request)):
            raise NotAllowedError(
                "traces contain hidden thoughts: set a token in the server's environment "
                f"({TOKEN_VARIABLE}) and send it as 'authorization: Bearer …'; without a token, "
                "only clients on the server's machine may read them, and only if the server "
                "shows thoughts"
            )

    def _is_token(self, secret: bytes) -> bool:
        return self._token is not None and hmac.compare_digest(secret, self._token)


def _to_token_error() -> ApiError:
    return ApiError(
        401,
        "send the trace token as 'authorization: Bearer …'",
        type="authentication_error",
        code="invalid_trace_token",
        headers={"www-authenticate": "Bearer"},
    )


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _PROXY_HEADERS):
        return False
    # Check the host name too: see server/keys/loopback.py.
    names = read_host_names(request.scope)
    return is_loopback(request.client.host) and bool(names) and all(map(is_loopback, names))
