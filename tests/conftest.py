"""What all tests share: Hypothesis without deadlines, since a busy machine is no failure, and
one real server for all that need one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.examples import register_profiles

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

ENGINE_GROUP = pytest.mark.xdist_group("engine")
SHARED_SERVERS = ("server", "thinker_server")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the real engine go to one worker: they share servers, and the machine's cores.

    Those that start their own come first, since a shared one, once started, takes its memory
    until the end.
    """
    for item in items:
        if item.get_closest_marker("e2e") or item.get_closest_marker("sdk"):
            item.add_marker(ENGINE_GROUP)
    items.sort(key=_shared_servers)


def _shared_servers(item: pytest.Item) -> int:
    """The last of the shared servers that a test needs, or 0."""
    names: list[str] = getattr(item, "fixturenames", [])
    return max(place if name in names else 0 for place, name in enumerate(SHARED_SERVERS, 1))


register_profiles()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """One real server for the whole session, with a quota that nobody reaches.

    Tests must leave it as they found it.
    """
    from tests.e2e.conftest import started_server

    log_path = tmp_path_factory.mktemp("server") / "log.txt"
    arguments = ["--anonymous-quota", '{"reasoning_tokens_per_day": 1000000000}']
    with started_server(log_path, arguments) as running:
        running.wait_ready()
        yield running
