"""The rule for a server without keys: it is for this machine alone, unless its operator says so.

Two doors: which address may be listened on, and which requests may come in by it.
"""

import socket

from starlette.types import Scope

from server.errors.api import NotAllowedError
from server.keys.live import LiveKeys
from server.keys.loopback import came_in_by_loopback, host_names, is_loopback
from server.settings.settings import ServerSettings


class AnonymousError(ValueError):
    """The server would be open to whoever reaches it."""


def check_listener(settings: ServerSettings, keys: LiveKeys, listener: socket.socket) -> None:
    """Return where requests without a key cannot come from other machines, or are meant to.

    Raises:
        AnonymousError: they can.
    """
    if keys.are_needed or settings.allow_anonymous:
        return
    # The socket's own address: a name may stand for any.
    if not is_loopback(str(listener.getsockname()[0])):
        raise AnonymousError(
            f"refusing to listen on {settings.host} without keys: whoever reaches it could use "
            "the server. Give it keys (--keys-file PATH or THINKING_SERVER_KEYS; 'python -m "
            "server.keys new' makes one), or let it listen on this machine only (--host "
            "127.0.0.1), or say that it is meant to be open (--allow-anonymous)"
        )


def check_host(settings: ServerSettings, scope: Scope) -> None:
    """Return unless a request that came in by loopback was sent to another host's name.

    Raises:
        NotAllowedError: 403, a web page may have sent it.
    """
    if settings.allow_anonymous or not came_in_by_loopback(scope):
        return
    names = host_names(scope)
    if not names or not all(is_loopback(n) or n == settings.host.lower() for n in names):
        raise NotAllowedError(
            "a server without keys answers under this machine's own names only (localhost, "
            "127.0.0.1, [::1]); its operator can give it keys, or start it with --allow-anonymous"
        )
