"""Access rules of a server without keys: local clients only, unless the operator allows others.

Two checks: which address the server may listen on, and which Host headers it answers.
"""

import socket

from starlette.types import Scope

from server.errors.api import NotAllowedError
from server.keys.live import LiveKeys
from server.keys.loopback import is_loopback, is_loopback_connection, read_host_names
from server.settings.settings import ServerSettings


class AnonymousError(ValueError):
    """Without keys, the server would be open to every client that can reach it."""


def check_listener(settings: ServerSettings, keys: LiveKeys, listener: socket.socket) -> None:
    """Raise AnonymousError if a server without keys would listen beyond loopback.

    Allowed if keys are configured, or with ``--allow-anonymous``.

    Raises:
        AnonymousError: clients on other machines could use the server without a key.
    """
    if keys.are_needed or settings.allow_anonymous:
        return
    # Check the socket's own address: a host name may resolve to any address.
    if not is_loopback(str(listener.getsockname()[0])):
        raise AnonymousError(
            f"refusing to listen on {settings.host} without keys: any client that can reach it "
            "could use the server. Configure keys (--keys-file PATH or THINKING_SERVER_KEYS; "
            "'python -m server.keys new' creates one), listen on this machine only (--host "
            "127.0.0.1), or allow open access explicitly (--allow-anonymous)"
        )


def check_host(settings: ServerSettings, scope: Scope) -> None:
    """Raise NotAllowedError if a loopback request names another host than this machine.

    Raises:
        NotAllowedError: 403; a web page may have sent the request (DNS rebinding).
    """
    if settings.allow_anonymous or not is_loopback_connection(scope):
        return
    names = read_host_names(scope)
    if not names or not all(is_loopback(n) or n == settings.host.lower() for n in names):
        raise NotAllowedError(
            "a server without keys answers only to this machine's own names (localhost, "
            "127.0.0.1, [::1]); its operator can configure keys or start it with --allow-anonymous"
        )
