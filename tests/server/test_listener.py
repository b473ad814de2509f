"""Small answers come at once on a connection that is kept."""

import socket

from server.serve import bind_listener


def test_accepted_sockets_do_not_hold_small_writes_back() -> None:
    """asyncio sets TCP_NODELAY where a socket's protocol is named, and there only."""
    with bind_listener("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.proto == socket.IPPROTO_TCP
