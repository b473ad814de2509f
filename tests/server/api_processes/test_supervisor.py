"""A supervisor replaces processes that die, ends when they cannot start, and ends all of them."""

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from server.api_processes.place import ProcessPlace
from server.api_processes.supervisor import MAX_FAILURES, Supervisor
from server.process.exit import ExitCode
from tests.server.api_processes.lives import end_with, live_until_stopped

END_SECONDS = 120.0
# What the process at a place does: a function of `lives`, and its arguments.
Life = tuple[Callable[..., None], tuple[Any, ...]]
LIVES: Life = (live_until_stopped, (0,))


@dataclass
class Run:
    """A supervisor of two places; `choose` says what the process at each does."""

    folder: Path
    choose: Callable[[ProcessPlace], Life]
    started: list[ProcessPlace] = field(default_factory=list)
    processes: list[BaseProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        first = ProcessPlace(0, 2, self.folder)
        self.supervisor = Supervisor(
            first, self._start, self.listener, drain_seconds=30.0, first_pause_seconds=0.01
        )

    async def wait_ended(self) -> int:
        return await asyncio.wait_for(self.supervisor.run(), END_SECONDS)

    def open(self) -> None:
        """Note that a process has been ready."""
        (self.folder / "open").touch()

    def stop(self) -> None:
        """Send SIGTERM to this process, which handles it as the supervisor's."""
        os.kill(os.getpid(), signal.SIGTERM)

    def _start(self, place: ProcessPlace) -> BaseProcess:
        target, arguments = self.choose(place)
        process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
        process.start()
        self.started.append(place)
        self.processes.append(process)
        return process


@pytest.mark.parametrize("code", [ExitCode.START_FAILED, ExitCode.USAGE])
async def test_a_process_that_cannot_start_ends_all_with_its_code(
    tmp_path: Path, code: ExitCode
) -> None:
    run = Run(tmp_path, lambda place: (end_with, (code,)) if place.number else LIVES)
    assert await run.wait_ended() == code
    assert [process.exitcode for process in run.processes] == [-signal.SIGKILL, code]
    assert run.listener.fileno() == -1


@pytest.mark.parametrize("code", [-signal.SIGKILL, ExitCode.OK, ExitCode.ENGINE_DIED])
async def test_a_process_that_dies_is_replaced_and_counted(
    tmp_path: Path, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(place: ProcessPlace) -> Life:
        if place.number == 1 and place.num_restarts < 2:
            return (end_with, (code,))
        if place.number == 1:
            asyncio.get_running_loop().call_later(0.1, run.stop)
        return LIVES

    run = Run(tmp_path, choose)
    assert await run.wait_ended() in (0, ExitCode.OK)
    assert [place.num_restarts for place in run.started if place.number == 1] == [0, 1, 2]
    assert [place.num_restarts for place in run.started if place.number == 0] == [0]
    assert capsys.readouterr().err.count("API process 1 (pid") == 2


async def test_a_replacement_that_cannot_start_is_tried_again_as_long_as_another_serves(
    tmp_path: Path,
) -> None:
    def choose(place: ProcessPlace) -> Life:
        if place.number == 1 and place.num_restarts == MAX_FAILURES + 1:
            run.stop()
        return (end_with, (ExitCode.USAGE,)) if place.number else LIVES

    run = Run(tmp_path, choose)
    run.open()
    assert await run.wait_ended() in (ExitCode.OK, ExitCode.USAGE)
    assert len(run.started) == 1 + MAX_FAILURES + 2


async def test_it_gives_up_when_no_process_stays_alive(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda _: (end_with, (-signal.SIGKILL,)))
    run.open()
    assert await run.wait_ended() == ExitCode.START_FAILED
    assert all(process.exitcode is not None for process in run.processes)


async def test_a_drain_ends_with_the_code_of_a_process_that_did_not_end_well(
    tmp_path: Path,
) -> None:
    def choose(place: ProcessPlace) -> Life:
        if place.number == 1:
            asyncio.get_running_loop().call_later(1.0, run.stop)
        return (live_until_stopped, (ExitCode.ENGINE_DIED if place.number else ExitCode.OK,))

    run = Run(tmp_path, choose)
    # A process that has not come to its handler yet is ended by the signal: that is no failure.
    assert await run.wait_ended() in (ExitCode.OK, ExitCode.ENGINE_DIED)
    assert len(run.started) == 2
    assert all(process.exitcode is not None for process in run.processes)
