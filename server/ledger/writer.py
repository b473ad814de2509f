"""Writes rows in one thread, with one commit for all that wait (group commit).

While a commit runs, further rows wait for the next one: many replies that end together cost few
commits. Does not know how rows come about, nor how they are stored.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.ledger.errors import LedgerStoreError, LedgerUnavailableError
from server.ledger.metrics import LedgerMetrics
from server.ledger.row import LedgerRow
from server.ledger.spool import Spool, SpoolError

if TYPE_CHECKING:  # it needs the extra `ledger`, which a server without a ledger does not have
    from server.ledger.store import LedgerStore

MAX_BATCH = 1_000
# Rows of the spool in one commit: the replies that end meanwhile wait for them.
MAX_SPOOLED = 200
# Interval of tries while the database does not respond.
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 10.0
# Backstop for a try that has begun: the database's own limits, half of `seconds`, end it sooner.
TRY_SECONDS = 60.0
logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Entry:
    """A row that waits. `done` will say whether it was written as it is; None: nobody asks.

    `is_tried`: a try to write it has begun, and may yet succeed. `is_late`: its time is up.
    """

    row: LedgerRow
    done: "asyncio.Future[bool] | None" = None
    is_tried: bool = False
    is_late: bool = False


class LedgerWriter:
    """Writes each row once, however often that takes.

    `spool` None: while the database does not respond, replies fail. `seconds` is the longest that
    the end of a reply waits for a try to write its row to begin; one that has begun is waited for,
    as what it wrote would else contradict what the client was told.
    """

    def __init__(
        self, store: "LedgerStore", spool: Spool | None, metrics: LedgerMetrics, seconds: float
    ) -> None:
        self.is_up = True
        self._store = store
        self._spool = spool
        self._metrics = metrics
        self._seconds = seconds
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._waiting: list[_Entry] = []
        self._lock = threading.Lock()  # of `is_tried`, `is_late` and `row` of entries
        self._is_closing = False
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        metrics.spooled.set(spool.num_rows if spool else 0)

    def start(self) -> None:
        """Try the database, and start the thread.

        Raises:
            LedgerSchemaError: the database has an unknown schema.
            LedgerStoreError: the database is a file that cannot be used. A server that does not
                respond is no reason not to start.
        """
        try:
            self._store.prepare()
        except LedgerStoreError as error:
            if self._store.is_file:
                raise
            self._note_down(error)
        self._thread.start()

    def check_open(self) -> None:
        """Check that a reply that begins now can be recorded.

        Raises:
            LedgerUnavailableError: 503.
        """
        if not self.is_up and (self._spool is None or self._spool.is_full):
            raise LedgerUnavailableError

    async def write(self, row: LedgerRow) -> None:
        """Write `row`; it is durable when this returns.

        Raises:
            LedgerUnavailableError: 503, it could not be written in time. It will be written as
                failed, once that is possible.
        """
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = _Entry(row, done)
        self._entries.put(entry)
        await asyncio.wait({done}, timeout=self._seconds)
        if not done.done() and not self._give_up(entry):
            await asyncio.wait({done}, timeout=max(TRY_SECONDS, self._seconds))
        if not (done.done() and done.result()):
            raise LedgerUnavailableError

    def note(self, row: LedgerRow) -> None:
        """Write `row` at some time; nobody waits for it."""
        self._entries.put(_Entry(row))

    def close(self) -> None:
        """Write what waits, and close the database."""
        self._is_closing = True
        self._entries.put(None)
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _give_up(self, entry: _Entry) -> bool:
        """Note that its reply fails, if no try to write its row runs; return whether that is so."""
        with self._lock:
            entry.is_late = True
            if not entry.is_tried:
                entry.row = entry.row.as_failed()
            return not entry.is_tried

    def _run(self) -> None:
        is_last = False
        while not (is_last and not self._waiting):
            is_last = self._take() or is_last
            if self.is_up or is_last or time.monotonic() >= self._next_try:
                self._write_to_database()
            if not self.is_up and self._spool is not None and self._waiting:
                self._write_to_spool(self._spool)
            self._release()
            if is_last and not self.is_up:
                break
        if self._waiting:
            lost = ", ".join(f"{e.row.request_id}/{e.row.choice}" for e in self._waiting)
            logger.error("rows that the ledger did not take: %s", lost)
        self._store.close()
        if self._spool is not None:
            self._spool.close()

    def _take(self) -> bool:
        """Wait for rows, then take all there are. Return whether the writer is being closed."""
        has_more = bool(self._spool and self._spool.num_rows)
        pause: float | None = None
        if not self.is_up:
            pause = max(0.0, self._next_try - time.monotonic())
            if self._spool is None:  # further rows change nothing
                self._sleep(pause)
                pause = 0.0
        elif has_more or self._waiting:
            pause = 0.0
        try:
            entry = self._entries.get(timeout=pause) if pause != 0 else self._entries.get_nowait()
            while True:
                if entry is None:
                    return True
                self._waiting.append(entry)
                if len(self._waiting) >= MAX_BATCH:
                    return False
                entry = self._entries.get_nowait()
        except queue.Empty:
            return self._is_closing and self._entries.empty()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._is_closing and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _write_to_database(self) -> None:
        spooled = self._spool.read_next(MAX_SPOOLED) if self._spool else []
        rows = [*self._claim(), *spooled]
        if self.is_up and not rows:
            return
        started = time.monotonic()
        try:
            self._store.insert(rows)
        except Exception as error:  # whatever it is: the thread goes on, and no row is lost
            self._note_down(error)
            return
        self._note_up(len(rows), time.monotonic() - started)
        if spooled and self._spool is not None:
            self._spool.advance()
            self._metrics.spooled.set(self._spool.num_rows)
        self._settle()

    def _write_to_spool(self, spool: Spool) -> None:
        try:
            spool.append(self._claim())
        except SpoolError as error:
            self._metrics.failures.inc()
            logger.error("%s", error)
            return
        self._metrics.spooled.set(spool.num_rows)
        self._settle()

    def _claim(self) -> list[LedgerRow]:
        """Return the rows that wait; they don't change until they are written or released."""
        with self._lock:
            for entry in self._waiting:
                entry.is_tried = True
            return [entry.row for entry in self._waiting]

    def _release(self) -> None:
        """After tries that failed, let those replies fail whose time is up."""
        with self._lock:
            late = [entry for entry in self._waiting if entry.is_late]
            for entry in late:
                entry.row = entry.row.as_failed()
            for entry in self._waiting:
                entry.is_tried = False
        _tell(late, was_written=False)

    def _settle(self) -> None:
        """Let go of those whose rows are durable now."""
        _tell(self._waiting, was_written=True)
        self._waiting = []

    def _note_down(self, error: Exception) -> None:
        self._metrics.failures.inc()
        self._metrics.up.set(0)
        if self.is_up:
            logger.error("the ledger does not take rows: %s", error)
        self.is_up = False
        self._next_try = time.monotonic() + PAUSE_SECONDS

    def _note_up(self, num_rows: int, seconds: float) -> None:
        if not self.is_up:
            logger.warning("the ledger takes rows again")
        self.is_up = True
        self._metrics.up.set(1)
        if num_rows:
            self._metrics.rows.inc(num_rows)
            self._metrics.commits.inc()
            self._metrics.seconds.observe(seconds)


def _tell(entries: Sequence[_Entry], *, was_written: bool) -> None:
    """Let those who wait know whether their rows were written, all of a loop at once."""
    done = [entry.done for entry in entries if entry.done is not None]
    for loop in {future.get_loop() for future in done}:
        own = [future for future in done if future.get_loop() is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set_done, own, was_written)


def _set_done(futures: "Sequence[asyncio.Future[bool]]", was_written: bool) -> None:
    for future in futures:
        if not future.done():  # else its reply has failed
            future.set_result(was_written)
