"""Creates the trace recorder that the settings configure."""

from pathlib import Path

from server.metrics import Metrics
from server.settings.settings import ServerSettings
from server.traces.recorder import TraceRecorder
from server.traces.redaction import Redactor
from server.traces.sqlite_store import SqliteTraceStore
from server.traces.store import Retention


def open_traces(settings: ServerSettings, metrics: Metrics) -> TraceRecorder | None:
    """Return the recorder; None if traces are off.

    Raises:
        TraceStoreError: the file cannot be used.
    """
    if settings.trace_store is None:
        return None
    retention = Retention(settings.trace_days, settings.trace_max_rows, settings.trace_max_bytes)
    return TraceRecorder(
        SqliteTraceStore(Path(settings.trace_store), retention),
        Redactor(settings.trace_redact),
        metrics,
        settings.trace_queue,
    )
