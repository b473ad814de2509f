"""What an operator sees of the server, in Prometheus' form."""

from server.metrics.metrics import CONTENT_TYPE_LATEST, Metrics

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]
