"""Options: what an operator sees: log, metrics, traces of requests."""

from pydantic_settings import BaseSettings


class ObservingSettings(BaseSettings):
    """Log and telemetry."""
