"""The server's log: its handlers, loggers and line formats.

Request lines are written by a separate thread: the process that reads our output may stall, and
that must not delay a single token. Knows no requests.
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

from server.logs.request_line import format_request
from server.process.console import SERVER_LOGGER

REQUEST_LOGGER = "thinking_server.requests"
# Other loggers whose warnings belong in the same stream.
_FOREIGN = ("server", "uvicorn", "opentelemetry", "py.warnings")
_FIELDS = "fields"
MAX_WAITING = 10_000
STOP_SECONDS = 2.0
MAX_CHAINED = 10  # exceptions of one traceback

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class LogFormat(Enum):
    """The values of ``--log-format``."""

    TEXT = "text"
    JSON = "json"
    NONE = "none"  # no request lines; the server's own lines remain


class ServerLog:
    """The log, open from :meth:`start` to :meth:`stop`. `stream` None: standard error.

    `process` is the number of this process among several, which lines then have.
    """

    def __init__(
        self, form: LogFormat, stream: TextIO | None = None, process: int | None = None
    ) -> None:
        self.form = form
        self._is_open = False
        self._handler = logging.StreamHandler(stream or sys.stderr)
        is_json = form is LogFormat.JSON
        self._handler.setFormatter(_JsonLines(process) if is_json else _TextLines(process))
        self._queue: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING)
        self._queued = _DroppingHandler(self._queue)
        self._listener = QueueListener(self._queue, self._handler)

    @property
    def num_dropped(self) -> int:
        """The number of request lines that were dropped because the queue was full."""
        return self._queued.num_dropped

    def start(self) -> None:
        """Attach the handlers to the loggers."""
        self._is_open = True
        self._attach(SERVER_LOGGER, self._handler, logging.INFO)
        for name in _FOREIGN:
            self._attach(name, self._handler, logging.WARNING)
        logging.captureWarnings(capture=self.form is LogFormat.JSON)
        if self.form is not LogFormat.NONE:
            self._attach(REQUEST_LOGGER, self._queued, logging.INFO)
            self._listener.start()

    def stop(self) -> None:
        """Write what is queued, in bounded time, and detach the handlers. Safe to call twice."""
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
    """Log a line with `fields`; the text format writes them with :func:`format_request`."""
    logger.info(message, extra={_FIELDS: fields})


class _DroppingHandler(QueueHandler):
    """Queues records without blocking; drops and counts them when the queue is full."""

    num_dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.num_dropped += 1


class _JsonLines(JsonFormatter):
    """Formats a record as a JSON object on one line, in ASCII; the time in UTC (RFC 3339)."""

    def __init__(self, process: int | None) -> None:
        super().__init__(json_ensure_ascii=True)
        self._process = {} if process is None else {"process": process}

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        return format_traceback(ei)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        fields = log_data.pop(_FIELDS, {})
        return {**log_data, **fields}

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        log_data["time"] = _format_time(record)
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data.update(self._process)
        super().add_fields(log_data, record, message_dict)


class _TextLines(logging.Formatter):
    """Formats a record for people: the server's own lines as they are, request lines with time."""

    def __init__(self, process: int | None) -> None:
        super().__init__()
        self._name = "thinking-server" if process is None else f"thinking-server[{process}]"

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, _FIELDS, None)
        if fields is not None:
            return f"{_format_time(record)} {format_request(fields)}"
        if record.name == SERVER_LOGGER:
            return f"{self._name}: {record.getMessage()}"
        text = f"{self._name}: {record.levelname.lower()}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        return format_traceback(ei)


def format_traceback(info: ExceptionInfo) -> str:
    """Format the traceback and types of an exception and its causes, without their messages.

    A message may quote a client's text.
    """
    error = info[1]
    parts: list[str] = []
    while error is not None and len(parts) < MAX_CHAINED:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or error.__context__
    return "\ncaused by:\n".join(parts)


def _format_time(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"
