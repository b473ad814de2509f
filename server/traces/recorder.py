"""Writes traces in a single thread, behind a queue that never delays a request.

Redacts in that thread, so that nothing reaches the store unredacted. When the queue is full, the
trace is dropped and counted. Does not know what a trace contains, nor how it is stored.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from server.errors.api import UnavailableError
from server.metrics import Metrics
from server.traces.redaction import Redactor
from server.traces.store import TraceStore, TraceStoreError
from server.traces.trace import Trace, TracePage, TraceQuery, Verdict

# Interval of pruning while no new traces arrive.
PRUNE_SECONDS = 60.0
CLOSE_SECONDS = 10.0
ResultT = TypeVar("ResultT")
Job = Callable[[], None]
logger = logging.getLogger(__name__)


class TraceRecorder:
    """Writes in the order of the calls, so that feedback on a response finds its trace.

    Invariant: no method except :meth:`close` blocks the event loop while it waits for the store.
    """

    def __init__(
        self, store: TraceStore, redactor: Redactor, metrics: Metrics, max_queued: int
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._metrics = metrics
        self._jobs: queue.Queue[Job | None] = queue.Queue(max_queued)
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="trace-writer", daemon=True)
        self._thread.start()

    def record(self, trace: Trace) -> None:
        """Queue `trace` for writing; if the queue is full, drop and count it."""
        if not self._enqueue(lambda: self._write(trace)):
            self._metrics.traces_dropped.labels("queue_full").inc()

    async def add_verdict(self, trace_id: str, verdict: Verdict, key_id: str | None = None) -> None:
        """Write a verdict, redacted. Arguments and errors as in :meth:`TraceStore.add_verdict`."""
        await self._run_in_writer(
            lambda: self._store.add_verdict(trace_id, self._redact(verdict), key_id)
        )

    async def delete(self, trace_id: str) -> None:
        """Delete a trace. Raises the errors of :meth:`TraceStore.delete`."""
        await self._run_in_writer(lambda: self._store.delete(trace_id))

    async def read_page(self, query: TraceQuery) -> TracePage:
        """Read a page of the traces that were recorded before this call."""
        await self._run_in_writer(lambda: None)
        return await asyncio.to_thread(self._store.read_page, query)

    def close(self) -> None:
        """Write what is queued, then close the store. Nothing is recorded after this."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._jobs.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            logger.error("the trace store cannot keep up: %d traces lost", self._jobs.qsize())
            return
        self._thread.join(CLOSE_SECONDS)

    def _enqueue(self, job: Job) -> bool:
        if self._is_closed:
            return False
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    async def _run_in_writer(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` in the writer's thread, after everything queued before, and return its result.

        Raises:
            UnavailableError: the queue is full.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ResultT] = loop.create_future()

        def settle(result: ResultT | None, error: Exception | None) -> None:
            if answer.done():  # the client has left
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # the result of work: no error

        def run_work() -> None:
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            loop.call_soon_threadsafe(settle, result, failure)

        if not self._enqueue(run_work):
            raise UnavailableError("the trace store is busy", "trace_store_busy")
        return await answer

    def _redact(self, verdict: Verdict) -> Verdict:
        note = None if verdict.note is None else self._redactor.redact_text(verdict.note)
        return replace(verdict, verifier=self._redactor.redact_text(verdict.verifier), note=note)

    def _write(self, trace: Trace) -> None:
        try:
            self._store.add(self._redactor.redact_trace(trace.to_dict()))
        except Exception as error:
            # The message is not logged: it could quote the trace.
            self._metrics.traces_dropped.labels("store_error").inc()
            logger.error("a trace could not be written: %s", type(error).__name__)
        else:
            self._metrics.traces_written.inc()

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=PRUNE_SECONDS)
            except queue.Empty:
                job = self._prune
            if job is None:
                break
            self._run_job(job)
        try:
            self._store.close()
        except TraceStoreError as error:
            logger.error("the trace store could not be closed: %s", error)

    def _prune(self) -> None:
        self._store.prune()

    def _run_job(self, job: Job) -> None:
        try:
            job()
        except Exception as error:
            logger.error("the trace store failed: %s", type(error).__name__)
