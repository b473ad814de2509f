"""Creates the store of responses that the settings configure."""

from server.settings.redis_url import MEMORY_URL
from server.settings.settings import ServerSettings
from server.stored_responses.memory import MemoryResponses
from server.stored_responses.metrics import ResponseStoreMetrics
from server.stored_responses.redis_link import RedisLink
from server.stored_responses.redis_records import Bounds, RedisRecords
from server.stored_responses.redis_store import Patience, RedisResponses
from server.stored_responses.sealing import RecordSeal
from server.stored_responses.store import ResponseStore


def open_responses(settings: ServerSettings, metrics: ResponseStoreMetrics) -> ResponseStore:
    """Return the store. Connects to nothing yet: the server starts even if the store is down.

    Raises:
        ResponseStoreConfigError: the URL is malformed, or redis-py is not installed.
        SealKeyError: what is stored in Redis could not be sealed.
    """
    hours = settings.response_store_hours
    most, most_bytes = settings.response_store_max_responses, settings.response_store_max_bytes
    url = settings.response_store.get_secret_value() if settings.response_store else MEMORY_URL
    if url == MEMORY_URL:
        return MemoryResponses(most, most_bytes, hours)
    timeout = settings.response_store_timeout_seconds
    link = RedisLink(url, timeout, metrics.store_up.set)
    bounds = Bounds(most, most_bytes, max(1, int(hours * 3600)))
    lease = settings.response_store_lease_seconds
    records = RedisRecords(link, RecordSeal.from_environment(), bounds, lease)
    return RedisResponses(records, bounds, Patience(timeout, lease))
