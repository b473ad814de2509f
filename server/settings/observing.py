"""Options for logs and telemetry."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ObservingSettings(BaseSettings):
    """Logs, telemetry and core dumps."""

    log_format: Literal["text", "json", "none"] = Field(
        default="text",
        description="Format of the request log on standard error, one line per request: text, "
        "json, or none. It never contains a prompt, thought or answer (docs/logging.md).",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="URL of an OpenTelemetry collector (OTLP over HTTP, …/v1/traces) that receives "
        "a span per request. Default: the value of OTEL_EXPORTER_OTLP_ENDPOINT, else none.",
    )
    core_dumps: bool = Field(
        default=False,
        description="Allow crashing processes to write core dumps, which contain thoughts and "
        "prompts.",
    )
