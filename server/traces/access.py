"""Who may read traces, which hold hidden thoughts and other people's questions.

With a token in the environment: whoever sends it. Without one: clients on this machine, and
only where the server shows thoughts anyway. Feedback needs neither: it reveals nothing.
"""

import hmac
import ipaddress
import os

from fastapi import Request

from server.errors import ApiError, NotAllowedError

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

    def check(self, request: Request) -> None:
        """Return where the client may read and delete traces.

        Raises:
            ApiError: 401 for a missing or wrong token, 403 where there is no token to know.
        """
        if self._token is not None:
            self._check_token(request.headers.get("authorization", ""))
        elif not (self._shows_thoughts and _is_on_this_machine(request)):
            raise NotAllowedError(
                "traces hold hidden thoughts: set a token in the server's environment "
                f"({TOKEN_VARIABLE}) and send it as 'authorization: Bearer …'; without a token "
                "only clients on the server's machine may read them, where it shows thoughts"
            )

    def _check_token(self, header: str) -> None:
        scheme, _, given = header.partition(" ")
        assert self._token is not None
        is_right = hmac.compare_digest(given.strip().encode(), self._token)
        if scheme.lower() != "bearer" or not is_right:
            raise ApiError(
                401,
                "send the trace token as 'authorization: Bearer …'",
                type="authentication_error",
                code="invalid_trace_token",
                headers={"www-authenticate": "Bearer"},
            )


def _is_on_this_machine(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _PROXY_HEADERS):
        return False
    # The name too: a web page's name may have been pointed at this machine (DNS rebinding).
    return _is_loopback(request.client.host) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
