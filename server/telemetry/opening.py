"""Creates the telemetry that the settings configure; imports OpenTelemetry only if it is on."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.settings.settings import ServerSettings

if TYPE_CHECKING:
    from server.telemetry.spans import RequestSpans

# The SDK's own variables also turn it on.
_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OFF = "OTEL_SDK_DISABLED"


class TelemetryMissingError(Exception):
    """Telemetry is on, but the extra `telemetry` is not installed."""


def open_telemetry(
    settings: ServerSettings, model_name: Callable[[], str | None]
) -> "RequestSpans | None":
    """Return the observer that creates spans; None if telemetry is off.

    Raises:
        TelemetryMissingError: telemetry is on, but OpenTelemetry is not installed.
    """
    is_on = settings.otlp_endpoint is not None or any(map(os.environ.get, _VARIABLES))
    if not is_on or os.environ.get(_OFF, "").lower() == "true":
        return None
    try:
        from server.telemetry.spans import RequestSpans
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise TelemetryMissingError(
            "--otlp-endpoint needs OpenTelemetry: pip install 'thinking-server[telemetry]'"
        ) from error
    return RequestSpans.to_collector(settings.otlp_endpoint, model_name)
