"""Prometheus metrics of the server."""

from server.metrics.metrics import CONTENT_TYPE_LATEST, Metrics

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]
