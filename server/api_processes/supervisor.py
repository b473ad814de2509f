"""The main process over several API processes: starts them, replaces those that die, ends all.

It binds the address and serves no request itself. Does not know what a process does.

    starting ──▶ serving ──signal──▶ draining ──▶ exit 0
       │            └── a process dies: another takes its place, after a pause
       └── a process fails to start: exit 1 or 2
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

from server.api_processes.accepting import ConnectionCounts
from server.api_processes.place import ProcessPlace
from server.process.console import print_status
from server.process.exit import ExitCode, end_now

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
# A process that has lived so long has not failed at its start.
STABLE_SECONDS = 60.0
# If all places have failed so often in a row, there is no point in going on.
MAX_FAILURES = 5
# Beyond the time that a process has for its drain.
STOP_SECONDS = 15.0

Start = Callable[[ProcessPlace], BaseProcess]


@dataclass(slots=True)
class Supervisor:
    """Keeps a process at each of the places, which are numbered from 0.

    `first` is place 0. `start` starts a process, which inherits `listener`. `passes_hangups`: the
    processes handle SIGHUP. A process that dies is replaced after `first_pause_seconds`, which
    double while those at its place do not live long.
    """

    first: ProcessPlace
    start: Start
    listener: socket.socket
    drain_seconds: float
    passes_hangups: bool = False
    first_pause_seconds: float = FIRST_PAUSE_SECONDS
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _processes: dict[int, BaseProcess] = field(default_factory=dict, init=False)
    _num_failures: dict[int, int] = field(default_factory=dict, init=False)
    _exit_code: int = field(default=ExitCode.OK, init=False)

    async def run(self) -> int:
        """Keep the processes until a signal arrives; return the exit code of all."""
        self._listen_to_signals()
        keeping = [asyncio.create_task(self._keep(n)) for n in range(self.first.count)]
        ended = asyncio.gather(*keeping)  # an error in one of them ends all
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        _, late = await asyncio.wait({ended}, timeout=self.drain_seconds + STOP_SECONDS)
        if late:
            print_status("error: API processes that do not end are killed")
            self._signal_all(signal.SIGKILL)
        await ended
        return self._exit_code

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._handle_stop, number)
        if self.passes_hangups:
            loop.add_signal_handler(signal.SIGHUP, self._signal_all, signal.SIGHUP)

    def _handle_stop(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            print_status(f"{number.name} again: exiting now")
            end_now(128 + number)
        self._stop(ExitCode.OK, signal.SIGTERM)

    def _stop(self, code: int, sent: signal.Signals) -> None:
        """End all processes. When the last one has closed the address, nobody listens there."""
        self._exit_code = code
        self._stopping.set()
        self.listener.close()
        self._signal_all(sent)

    def _signal_all(self, sent: signal.Signals) -> None:
        for process in self._processes.values():
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, sent)

    async def _keep(self, number: int) -> None:
        """Keep a process at a place until all are ended."""
        loop, num_restarts, counts = asyncio.get_running_loop(), 0, ConnectionCounts(self.first)
        while not self._stopping.is_set():
            first = self.first
            place = ProcessPlace(number, first.count, first.folder, num_restarts)
            process = self._processes[number] = self.start(place)
            started = loop.time()
            code = await _wait_ended(process)
            counts.clear(number)
            if self._stopping.is_set():
                self._note_end(number, code)
                return
            if code in (ExitCode.START_FAILED, ExitCode.USAGE) and not first.is_open:
                self._stop(code, signal.SIGKILL)
                return
            num_restarts += 1
            await self._pause(number, process, loop.time() - started)

    async def _pause(self, number: int, process: BaseProcess, lived: float) -> None:
        """Report that a process has died, and wait before another is started in its place."""
        num_failures = 0 if lived >= STABLE_SECONDS else self._num_failures.get(number, -1) + 1
        self._num_failures[number] = num_failures
        how = _describe_end(process.exitcode)
        seconds = min(LONGEST_PAUSE_SECONDS, self.first_pause_seconds * 2**num_failures)
        print_status(
            f"error: API process {number} (pid {process.pid}) {how}; another is started in "
            f"{seconds:g} s"
        )
        if all(self._num_failures.get(n, 0) >= MAX_FAILURES for n in range(self.first.count)):
            print_status("error: no API process stays alive; exiting")
            self._stop(ExitCode.START_FAILED, signal.SIGKILL)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _note_end(self, number: int, code: int) -> None:
        """Take over the exit code of a process that did not end well."""
        if code > 0 and self._exit_code == ExitCode.OK:
            print_status(f"error: API process {number} {_describe_end(code)}")
            self._exit_code = code


async def _wait_ended(process: BaseProcess) -> int:
    """Wait for a process to end and return its exit code; -n: signal n ended it."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _describe_end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"has exited with {code}"
