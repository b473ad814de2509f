"""A process that hangs, is dead or knows nothing holds nobody up, and is counted."""

import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from server.api_processes.metrics import ProcessMetrics
from server.api_processes.place import ProcessPlace
from server.api_processes.siblings import ANSWER_SECONDS, Siblings
from server.app import create_app
from server.engine.scripted import ScriptedEngine
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services, wants
from tests.server.scraping import Scrape


@pytest.fixture
def place() -> Iterator[ProcessPlace]:
    """Place 0 of three: the process at place 1 hangs, and there is none at place 2."""
    # Not pytest's own folder: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory() as folder, ExitStack() as sockets:
        place = ProcessPlace(0, 3, Path(folder))
        sockets.enter_context(ProcessPlace(1, 3, Path(folder)).open_socket())
        yield place


@pytest.fixture
async def client(place: ProcessPlace) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the process at place 0."""
    services = make_services(engine_url=["http://engine"], api_processes=3)
    engine = ScriptedEngine(
        wants("Seven."), TOKENIZER, PROFILES["special markers"], model_name=MODEL
    )
    services.set_engine(engine)
    siblings = Siblings(place, ProcessMetrics(services.metrics.registry, place))
    transport = httpx.ASGITransport(create_app(services, siblings))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await siblings.close()
    await services.close()
    await engine.close()


async def test_metrics_come_in_time_without_those_that_do_not_answer(
    client: httpx.AsyncClient,
) -> None:
    begin = time.monotonic()
    await client.get("/metrics")
    page = Scrape((await client.get("/metrics")).text)
    assert time.monotonic() - begin < 2 * ANSWER_SECONDS + 10
    assert {sample.labels["process"] for sample in page.samples} == {"0"}
    # Of the second scrape itself the page does not tell yet: it was made before.
    assert page.sum("thinking_api_processes_silent_total") == 2


@pytest.mark.parametrize(
    ("method", "code"), [("POST", "reply_not_found"), ("GET", "sealed_thought_not_found")]
)
async def test_what_no_process_has_is_a_404(
    client: httpx.AsyncClient, method: str, code: str
) -> None:
    answer = await client.request(method, "/v1/thinking/unknown", json={"action": "end"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_the_folder_of_the_sockets_is_private(place: ProcessPlace) -> None:
    assert place.folder.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place.get_socket_path(1)))
