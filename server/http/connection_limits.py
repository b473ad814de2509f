"""Limits of an HTTP connection. A record."""

from dataclasses import dataclass

from server.settings.settings import ServerSettings

# Limit for request line and headers together; nginx's default is half of it.
MAX_HEAD_BYTES = 2**16
MAX_HEADERS = 128
# Bytes per second: a client that reads more slowly over the whole time limit is disconnected.
MIN_SEND_RATE = 1_024
# Time to keep the connection after a response that was sent before the whole body had arrived, for
# clients that read only after sending.
LINGER_SECONDS = 2.0
# An idle connection is closed so much later than clients are told, so that none sends a request
# on a connection that is just being closed.
KEEP_ALIVE_GRACE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits per connection, except `max_connections`, which applies to the server."""

    max_connections: int
    head_seconds: float
    body_seconds: float
    send_seconds: float
    keep_alive_seconds: int

    @classmethod
    def of(cls, settings: ServerSettings) -> "ConnectionLimits":
        """Return the limits that the options set."""
        return cls(
            settings.max_connections,
            settings.header_timeout_seconds,
            settings.body_timeout_seconds,
            settings.send_timeout_seconds,
            settings.keep_alive_timeout_seconds,
        )
