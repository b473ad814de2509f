"""Options for connection limits and timeouts (docs/security.md)."""

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings


class HttpSettings(BaseSettings):
    """Limits of a connection. The limit on body size is in ``ServerSettings``."""

    max_connections: PositiveInt = Field(
        default=1_000,
        description="Maximum number of open connections. A further connection replaces the one "
        "that has been idle for longest; if all have a request in progress, it gets a 503.",
    )
    header_timeout_seconds: PositiveFloat = Field(
        default=15.0,
        description="Time limit for a client to send the request line and headers.",
    )
    body_timeout_seconds: PositiveFloat = Field(
        default=60.0, description="Time limit for a client to send the body; then 408."
    )
    send_timeout_seconds: PositiveFloat = Field(
        default=60.0,
        description="Disconnect a client that reads less than 1 KiB per second of a pending "
        "response over this time, and abort its request.",
    )
