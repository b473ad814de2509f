"""Options: what an operator sees: log, metrics, traces of requests."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ObservingSettings(BaseSettings):
    """Log and telemetry."""

    log_format: Literal["text", "json", "none"] = Field(
        default="text",
        description="A line for each request, on standard error: text, json, or none. No prompt, "
        "thought or answer is ever in it (docs/logging.md).",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="URL of an OpenTelemetry collector (OTLP over HTTP, …/v1/traces) that gets a "
        "span a request; default: none, or what OTEL_EXPORTER_OTLP_ENDPOINT says.",
    )
    core_dumps: bool = Field(
        default=False,
        description="Whether a process that crashes may leave its memory on disk, thoughts and "
        "prompts included.",
    )
