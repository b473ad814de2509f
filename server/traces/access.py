"""Who may read traces, which hold hidden thoughts and other people's questions.

A key with `reads_traces`; or, with a token in the environment, whoever sends it. Without keys and
token: clients on this machine, and only where the server shows thoughts anyway. Feedback reveals
nothing, and is for those whose request it was.
"""

import hmac
import os

from fastapi import Request

from server.account.account import account_of
from server.errors.api import ApiError, NotAllowedError
from server.keys.credentials import presented_secret
from server.keys.key import ANONYMOUS, ANONYMOUS_ID, AccessKey
from server.keys.loopback import host_names, is_loopback

TOKEN_VARIABLE = "THINKING_SERVER_TRACE_TOKEN"  # noqa: S105 - its name
MIN_TOKEN_LENGTH = 16
# A proxy on this machine makes the whole world look like this machine.
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class TraceTokenError(ValueError):
    """The token in the environment is no good."""


class TraceAccess:
    """Decides for one server. The token is in no `repr`."""

    def __init__(self, token: str | None, *, shows_thoughts: bool) -> None:
        self._token = token.encode() if token else None
        self._shows_thoughts = shows_thoughts

    @classmethod
    def from_environment(cls, *, shows_thoughts: bool) -> "TraceAccess":
        """With the token of the environment, where there is one.

        Raises:
            TraceTokenError: it is too short.
        """
        token = os.environ.get(TOKEN_VARIABLE)
        if token and len(token) < MIN_TOKEN_LENGTH:
            raise TraceTokenError(f"{TOKEN_VARIABLE} should have {MIN_TOKEN_LENGTH} characters")
        return cls(token, shows_thoughts=shows_thoughts)

    def key_of_token(self, secret: bytes) -> AccessKey | None:
        """Who comes with the token, where keys are needed to come at all."""
        return ANONYMOUS if self._is_token(secret) else None

    def check(self, request: Request) -> None:
        """Return where the client may read and delete traces.

        Raises:
            ApiError: 401 for a missing or wrong token, 403 where there is no token to know.
        """
        key = account_of(request).key
        if key.reads_traces:
            return
        if key.key_id != ANONYMOUS_ID:
            raise NotAllowedError("this key may not read traces (reads_traces)")
        if self._token is not None:
            if not self._is_token(presented_secret(request.scope) or b""):
                raise _wrong_token()
        elif not (self._shows_thoughts and _is_on_this_machine(request)):
            raise NotAllowedError(
                "traces hold hidden thoughts: set a token in the server's environment "
                f"({TOKEN_VARIABLE}) and send it as 'authorization: Bearer …'; without a token "
                "only clients on the server's machine may read them, where it shows thoughts"
            )

    def _is_token(self, secret: bytes) -> bool:
        return self._token is not None and hmac.compare_digest(secret, self._token)


def _wrong_token() -> ApiError:
    return ApiError(
        401,
        "send the trace token as 'authorization: Bearer …'",
        type="authentication_error",
        code="invalid_trace_token",
        headers={"www-authenticate": "Bearer"},
    )


def _is_on_this_machine(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _PROXY_HEADERS):
        return False
    # The name too: see the module of these functions.
    names = host_names(request.scope)
    return is_loopback(request.client.host) and bool(names) and all(map(is_loopback, names))
