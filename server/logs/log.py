"""The server's log: where its lines go, and in which form.

Lines of requests are written by a thread of their own: whoever reads our output may stop
reading, and that must not hold up a single token. Knows no request.
"""

import logging
import queue
import sys
import time
import traceback
from collections.abc import Mapping
from enum import Enum
from logging.handlers import QueueHandler, QueueListener
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from server.logs.request_line import request_text
from server.process.console import SERVER_LOGGER

REQUEST_LOGGER = "thinking_server.requests"
# Loggers of the code below us whose warnings belong in the same stream.
_FOREIGN = ("server", "uvicorn", "opentelemetry", "py.warnings")
_FIELDS = "fields"
MAX_WAITING = 10_000
STOP_SECONDS = 2.0
MAX_CHAINED = 10  # exceptions of one traceback

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class LogFormat(Enum):
    """``--log-format``."""

    TEXT = "text"
    JSON = "json"
    NONE = "none"  # no line a request; the server's own lines stay


class ServerLog:
    """Open from :meth:`start` to :meth:`stop`. `num_dropped` lines found no room.

    `stream` None: standard error.
    """

    def __init__(self, form: LogFormat, stream: TextIO | None = None) -> None:
        self.form = form
        self._is_open = False
        self._handler = logging.StreamHandler(stream or sys.stderr)
        self._handler.setFormatter(_JsonLines() if form is LogFormat.JSON else _TextLines())
        self._queue: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING)
        self._queued = _DroppingHandler(self._queue)
        self._listener = QueueListener(self._queue, self._handler)

    @property
    def num_dropped(self) -> int:
        """Lines of requests that were given up because nobody read fast enough."""
        return self._queued.num_dropped

    def start(self) -> None:
        """Take over the loggers."""
        self._is_open = True
        self._attach(SERVER_LOGGER, self._handler, logging.INFO)
        for name in _FOREIGN:
            self._attach(name, self._handler, logging.WARNING)
        logging.captureWarnings(capture=self.form is LogFormat.JSON)
        if self.form is not LogFormat.NONE:
            self._attach(REQUEST_LOGGER, self._queued, logging.INFO)
            self._listener.start()

    def stop(self) -> None:
        """Write what waits, in bounded time, and let the loggers go. Safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        until = time.monotonic() + STOP_SECONDS
        while not self._queue.empty() and time.monotonic() < until:
            time.sleep(0.01)
        if self._queue.empty() and self.form is not LogFormat.NONE:
            self._listener.stop()
        logging.captureWarnings(capture=False)
        for name in (SERVER_LOGGER, REQUEST_LOGGER, *_FOREIGN):
            logger = logging.getLogger(name)
            logger.removeHandler(self._handler)
            logger.removeHandler(self._queued)
            logger.propagate = True

    @staticmethod
    def _attach(name: str, handler: logging.Handler, level: int) -> None:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


def log_fields(logger: logging.Logger, message: str, fields: Mapping[str, Any]) -> None:
    """Write one line with `fields`; in text, they are written out by their own rule."""
    logger.info(message, extra={_FIELDS: fields})


class _DroppingHandler(QueueHandler):
    """Never waits, never complains."""

    num_dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.num_dropped += 1


class _JsonLines(JsonFormatter):
    """One JSON object a line, in ASCII; the time in UTC (RFC 3339)."""

    def __init__(self) -> None:
        super().__init__(json_ensure_ascii=True)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        return traceback_without_values(ei)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        fields = log_data.pop(_FIELDS, {})
        return {**log_data, **fields}

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        log_data["time"] = _utc(record)
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        super().add_fields(log_data, record, message_dict)


class _TextLines(logging.Formatter):
    """For people: the server's own lines as they are, those of requests with their time."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, _FIELDS, None)
        if fields is not None:
            return f"{_utc(record)} {request_text(fields)}"
        if record.name == SERVER_LOGGER:
            return f"thinking-server: {record.getMessage()}"
        text = f"thinking-server: {record.levelname.lower()}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        return traceback_without_values(ei)


def traceback_without_values(info: ExceptionInfo) -> str:
    """Where an exception came from and of what kind; its message may quote a client's text."""
    error = info[1]
    parts: list[str] = []
    while error is not None and len(parts) < MAX_CHAINED:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or error.__context__
    return "\ncaused by:\n".join(parts)


def _utc(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"
