"""Each client's driver, run once a session in the client's own environment."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from tests.e2e.process import Server
from tests.sdk.catalogue import CLIENTS, ENVIRONMENTS, NODE, ROOT, Client

EXAMPLES = ROOT / "clients" / "examples"
DRIVER_SECONDS = 500  # a busy machine is no failure
DRIVERS_AT_ONCE = 4
# Set by `make test-clients`: nothing may be left out there.
ALL_MUST_RUN = "TEST_ALL_CLIENTS"
# Clients that would ask the network for prices, models or data sets.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "1"}

Report = dict[str, Any]
Reply = dict[str, Any]


def need(client: Client) -> None:
    """Skip where `client` is not there, unless all must run."""
    missing = client.missing()
    if missing and os.environ.get(ALL_MUST_RUN):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def client_for(environment: str) -> Client:
    """One of the clients that live in `environment`."""
    return next(client for client in CLIENTS if client.environment == environment)


def run(command: list[str | Path], **variables: str) -> str:
    """Standard output of `command`, which must succeed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | OFFLINE | variables,
        capture_output=True,
        text=True,
        timeout=DRIVER_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def node_folder() -> Iterator[Path]:
    """All TypeScript, laid where node finds the installed packages."""
    need(client_for("node"))
    folder = ENVIRONMENTS / "node" / f"run-{os.getpid()}"
    folder.mkdir()
    for source in [*NODE.glob("*.ts"), *EXAMPLES.glob("*.ts"), NODE / "tsconfig.json"]:
        shutil.copy(source, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def report_of(
    server: Server, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Client], Report]]:
    """What a client's driver said. All that this session asks for run side by side: the server
    batches what they ask, and most of their time goes into imports."""

    def drive(client: Client) -> Future[Report]:
        command: list[str | Path] = [client.python, "-m", f"tests.sdk.drivers.{client.driver}"]
        if client.is_for_node:
            command = tsx(request.getfixturevalue("node_folder"), client.driver)
        folder = tmp_path_factory.mktemp(client.driver)
        return pool.submit(report_from, [*command, server.base_url], folder)

    with ThreadPoolExecutor(DRIVERS_AT_ONCE) as pool:
        running = {
            client.driver: drive(client) for client in asked_for(request) if not client.missing()
        }

        def report(client: Client) -> Report:
            need(client)
            return running[client.driver].result()

        yield report


def asked_for(request: pytest.FixtureRequest) -> list[Client]:
    """The clients that tests of this session are about."""
    parameters: list[dict[str, Any]] = [
        item.callspec.params for item in request.session.items if has_parameters(item)
    ]
    asked: list[Client] = [each["client"] for each in parameters if "client" in each]
    return [client for client in CLIENTS if client in asked]


def has_parameters(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return hasattr(item, "callspec")


def report_from(command: list[str | Path], folder: Path) -> Report:
    """What the driver printed last."""
    report: Report = json.loads(run(command, LLM_USER_PATH=str(folder)).splitlines()[-1])
    return report


def tsx(folder: Path, script: str) -> list[str | Path]:
    """The command that runs a script of `folder`."""
    return [ENVIRONMENTS / "node" / "node_modules" / ".bin" / "tsx", folder / f"{script}.ts"]
