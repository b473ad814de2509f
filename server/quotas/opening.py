"""Creates the quotas that the settings configure."""

from prometheus_client import CollectorRegistry

from server.quotas.counters import MemoryCounters
from server.quotas.metrics import QuotaMetrics
from server.quotas.quotas import Quotas
from server.quotas.storage import open_counters
from server.settings.settings import ServerSettings


def open_quotas(settings: ServerSettings, registry: CollectorRegistry) -> Quotas:
    """Return the quotas. Connects to nothing yet: the server starts even if the storage is down.

    Raises:
        QuotaStorageUrlError, RedisMissingError: see :func:`server.quotas.storage.open_counters`.
    """
    url = settings.quota_storage
    counters = open_counters(
        url.get_secret_value() if url is not None else None, settings.quota_timeout_seconds
    )
    fallback = MemoryCounters() if settings.quota_fallback == "allow" else None
    return Quotas(counters, QuotaMetrics(registry), fallback)
