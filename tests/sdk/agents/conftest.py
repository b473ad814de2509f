"""Each coding agent's task over the scripted engine, and its turn on the real one, run once."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.process import Server
from tests.sdk.agents.catalogue import AGENTS, Agent
from tests.sdk.agents.launching import LAUNCHES, Target
from tests.sdk.agents.playing import TaskModel
from tests.sdk.agents.serving import (
    CODER,
    LoggedRequest,
    coder_server,
    parse_requests,
    scripted_server,
)
from tests.sdk.agents.tasks import TASK, make_calls
from tests.sdk.conftest import ALL_MUST_RUN
from tests.server.conftest import MODEL

BUDGET = 1024  # Claude Code's smallest
SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """What an agent printed, where it worked, and what the server's log says of its requests."""

    agent: Agent
    printed: str
    folder: Path
    requests: Sequence[LoggedRequest]

    @property
    def replies(self) -> list[LoggedRequest]:
        """The requests that a model answered."""
        return [request for request in self.requests if request["thinking"]]


@dataclass(frozen=True, slots=True)
class Task(Run):
    """A run whose replies a script wrote."""

    model: TaskModel


@pytest.fixture(scope="session", params=AGENTS, ids=lambda agent: agent.name)
def agent(request: pytest.FixtureRequest) -> Agent:
    """Return each agent, unless it is not installed."""
    wanted: Agent = request.param
    missing = wanted.missing()
    if missing and os.environ.get(ALL_MUST_RUN):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return wanted


@pytest.fixture(scope="session")
def task(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Return the run of the task with tools."""
    place = tmp_path_factory.mktemp(agent.name)
    folder = place / "work"
    folder.mkdir()
    model = TaskModel(make_calls(str(folder))[agent.name])
    with scripted_server(model, place) as server:
        target = Target(server.base_url, MODEL, BUDGET)
        printed = LAUNCHES[agent.name](target, TASK).run(place / "home", folder)
    return Task(agent, printed, folder, server.read_requests(), model)


@pytest.fixture(scope="session")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a real server on a random model with a long context."""
    with coder_server(tmp_path_factory.mktemp("coder")) as running:
        yield running


@pytest.fixture(scope="session")
def turn(agent: Agent, coder: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run of one turn on the real engine."""
    place = tmp_path_factory.mktemp(agent.name)
    folder = place / "work"
    folder.mkdir()
    num_before = len(parse_requests(coder.log()))
    target = Target(coder.base_url, CODER, BUDGET)
    printed = LAUNCHES[agent.name](target, "Say hello.").run(place / "home", folder)
    wait_until_idle(coder)
    return Run(agent, printed, folder, parse_requests(coder.log())[num_before:])


def wait_until_idle(server: Server) -> None:
    """Return when no request is in progress but this one, so that the log has them all."""
    until = time.monotonic() + SETTLE_SECONDS
    while count_in_flight(server) > 1:
        assert time.monotonic() < until, "a request goes on after its client has ended"
        time.sleep(0.1)


def count_in_flight(server: Server) -> float:
    """Return the number of requests that are being answered."""
    text = httpx.get(f"{server.base_url}/metrics", timeout=30).raise_for_status().text
    (value,) = (
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "thinking_requests_in_flight"
    )
    return value
