"""How much a connection may take. A record."""

from dataclasses import dataclass

from server.settings.settings import ServerSettings

# Of a request's line and headers together; nginx's default is half of it.
MAX_HEAD_BYTES = 2**16
MAX_HEADERS = 128
# Bytes a second: who takes less than that, over the whole time it has, is cut off.
MIN_SEND_RATE = 1_024
# After an answer that came before its body: for a client that sends first and reads then.
LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one connection, but for `max_connections`, which is of the server."""

    max_connections: int
    head_seconds: float
    body_seconds: float
    send_seconds: float

    @classmethod
    def of(cls, settings: ServerSettings) -> "ConnectionLimits":
        """As the options say."""
        return cls(
            settings.max_connections,
            settings.header_timeout_seconds,
            settings.body_timeout_seconds,
            settings.send_timeout_seconds,
        )
