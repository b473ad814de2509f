"""Options: how long and how many connections a client may hold (docs/security.md)."""

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings


class HttpSettings(BaseSettings):
    """Limits of a connection. What a body may hold is in the server's own options."""

    max_connections: PositiveInt = Field(
        default=1_000,
        description="Connections that may be open at a time. One more takes the place of the one "
        "that has been silent for longest; where all are being answered, it is a 503.",
    )
    header_timeout_seconds: PositiveFloat = Field(
        default=15.0,
        description="How long a client may take to send a request's line and headers.",
    )
    body_timeout_seconds: PositiveFloat = Field(
        default=60.0, description="How long it may take to send a body; then 408."
    )
    send_timeout_seconds: PositiveFloat = Field(
        default=60.0,
        description="A client that takes nothing, or next to nothing (1 KiB a second), of an "
        "answer that waits is cut off after so long, and its request is ended.",
    )
