"""Options for connections, their limits and timeouts (docs/security.md)."""

import re

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import BaseSettings

from server.settings.words import Words

# The ``Origin`` header of a web page, a browser extension or a desktop application.
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s,*]+")


class HttpSettings(BaseSettings):
    """Connections, and which web pages may use them. The body's size is in ``ServerSettings``."""

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
    keep_alive_timeout_seconds: PositiveInt = Field(
        default=75,
        description="Time that a connection may be idle between two requests; clients read it in "
        "the header Keep-Alive.",
    )
    allowed_origins: Words = Field(
        default_factory=list,
        description="Origins whose web pages may use the server from a browser (CORS), such as "
        "http://localhost:3000; * for all. Keys are needed as before. Default: none.",
    )

    pages: bool = Field(
        default=True,
        description="Serve the playground at / and the operator's page at /status. They hold "
        "nothing of the server and need no key; what they show, they ask for with a key.",
    )

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme://host[:port] without a path, or *"
                )
        return origins
