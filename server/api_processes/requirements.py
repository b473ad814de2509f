"""Checks the settings for several API processes, and gives each its part of them.

Whatever one process keeps for itself would hold for a part of the requests only. Starts nothing.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from server.api_processes.place import ProcessPlace
from server.settings.redis_url import MEMORY_URL
from server.settings.settings import ServerSettings

OPTION = "--api-processes"


class ApiProcessesError(ValueError):
    """The settings do not allow several API processes; the message names the option to change."""


def check_api_processes(settings: ServerSettings) -> None:
    """Check that as many API processes as configured can serve with `settings`.

    Raises:
        ApiProcessesError: they cannot.
    """
    if settings.ledger_spool is not None:
        _check_spools(Path(settings.ledger_spool), settings.api_processes)
    if settings.api_processes == 1:
        return
    if not (settings.engine_url or settings.models_file):
        raise ApiProcessesError(
            f"{OPTION}: is of use with --engine-url or --models-file only: an engine in this "
            "process is served by one process"
        )
    for fault in _find_faults(settings):
        raise ApiProcessesError(f"{OPTION} {settings.api_processes}: {fault}")


def share_out(settings: ServerSettings, place: ProcessPlace) -> ServerSettings:
    """Return the settings of the process at `place`: its part of all limits of the server."""
    parts: dict[str, object] = {
        name: _divide(getattr(settings, name), place)
        for name in (
            "max_connections",
            "max_queued_requests",
            "map_concurrency",
            "thought_store_max_bytes",
            "ledger_spool_max_rows",
        )
    }
    if settings.max_concurrent_requests is not None:
        parts["max_concurrent_requests"] = _divide(settings.max_concurrent_requests, place)
    if settings.ledger_spool is not None:
        parts["ledger_spool"] = f"{settings.ledger_spool}.{place.number}"
    return settings.model_copy(update=parts)


def shares_counters(settings: ServerSettings) -> bool:
    """Return whether quotas and turns are counted for all processes together."""
    return settings.api_processes == 1 or _is_shared(settings.quota_storage)


def shares_responses(settings: ServerSettings) -> bool:
    """Return whether responses are stored for all processes together."""
    return _is_shared(settings.response_store)


def _find_faults(settings: ServerSettings) -> Iterator[str]:
    if not shares_responses(settings) and settings.response_store_max_responses:
        yield (
            "responses would be known to one process only: keep them in a Redis (--response-store "
            "redis://…), or keep none (--response-store-max-responses 0)"
        )
    has_quota = any(limit is not None for limit in settings.anonymous_quota.values())
    if has_quota and not shares_counters(settings):
        yield (
            "each process would grant the whole of --anonymous-quota: count it in a Redis "
            "(--quota-storage redis://…)"
        )
    if settings.trace_store is not None:
        yield "--trace-store: its file can have one writer; use one process"
    for name in ("max_concurrent_requests", "max_connections", "map_concurrency"):
        limit = getattr(settings, name)
        if limit is not None and limit < settings.api_processes:
            option = "--" + name.replace("_", "-")
            yield f"{option} {limit} is divided among the processes, and too small for so many"


def _is_shared(url: SecretStr | None) -> bool:
    return url is not None and url.get_secret_value() != MEMORY_URL


def _divide(total: int, place: ProcessPlace) -> int:
    part, rest = divmod(total, place.count)
    return part + (place.number < rest)


def _check_spools(path: Path, count: int) -> None:
    """Check that no rows wait in a spool that none of `count` processes would read."""
    used = {path} if count == 1 else {Path(f"{path}.{number}") for number in range(count)}
    numbered = (
        found for found in path.parent.glob(f"{path.name}.*") if found.suffix[1:].isdecimal()
    )
    for found in sorted({path, *numbered} - used):
        if found.is_file() and found.stat().st_size:
            raise ApiProcessesError(
                f"--ledger-spool: {found} has rows that wait for the ledger, from a start with "
                f"another {OPTION}: start so again, until thinking_ledger_spooled_rows is 0"
            )
