"""Opens the storage of turns that the settings configure: that of the quotas."""

from server.quotas.quotas import Quotas
from server.quotas.storage import find_redis_url
from server.quotas.turns.memory_store import MemoryTurns
from server.quotas.turns.redis_store import RedisTurns
from server.quotas.turns.store import TurnStore
from server.quotas.turns.turn_budgets import TurnBudgets
from server.quotas.turns.unshared_store import UnsharedTurns
from server.quotas.turns.watched_store import WatchedTurns
from server.settings.settings import ServerSettings


def open_turn_budgets(settings: ServerSettings, quotas: Quotas) -> TurnBudgets:
    """Return the turns. Connects to nothing yet.

    Raises:
        QuotaStorageUrlError, RedisMissingError: see :func:`server.quotas.storage.open_counters`.
    """
    store = WatchedTurns(_open_store(settings), quotas.watch, quotas.metrics.storage_up)
    is_allowed = settings.quota_fallback == "allow"
    return TurnBudgets(store, MemoryTurns(settings.turn_ttl_seconds) if is_allowed else None)


def _open_store(settings: ServerSettings) -> TurnStore:
    secret, ttl = settings.quota_storage, settings.turn_ttl_seconds
    url = find_redis_url(None if secret is None else secret.get_secret_value())
    if url is None:
        return MemoryTurns(ttl) if settings.api_processes == 1 else UnsharedTurns()
    return RedisTurns(url, settings.quota_timeout_seconds, ttl)
