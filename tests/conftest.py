"""What all tests share: Hypothesis's profiles, and real servers for all that need one."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.examples import register_profiles

if TYPE_CHECKING:
    from tests.e2e.process import Server
    from tests.e2e.shared import SharedServers

# In the order of tests.e2e.shared, which imports what the other tests do without. Tests of a line
# run in one process: two at a time, since an engine has one thread, and a small machine two cores.
SERVERS_OF_GROUPS = {
    "engine": ("cramped_server", "seeing_server", "thinker_server"),
    "embedded": ("server",),
}
SHARED_SERVERS = tuple(name for names in SERVERS_OF_GROUPS.values() for name in names)

register_profiles()
if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: beside other busy processes, more threads wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the real engine go to two processes, in an order that spares starts and memory.

    Those that start their own come first, meanwhile the first of the shared servers loads. Then
    one shared server after the other; the test that ends it is the last one that it serves.
    """
    for item in items:
        names = _fixtures_of(item)
        if not item.get_closest_marker("e2e"):
            # It would belong to no group, and find the server that it needs already ended.
            if item.path.parent.name == "e2e":
                raise pytest.UsageError(f"{item.nodeid} is not marked with e2e")
        else:
            group = "embedded" if "server" in names else "engine"
            item.add_marker(pytest.mark.xdist_group(group))
            # One list of names for all parameters of a test.
            if group == "engine" and "next_server_loads" not in names:
                names.insert(0, "next_server_loads")
    items.sort(key=lambda item: (_place(item), bool(item.get_closest_marker("ends_server"))))


def _fixtures_of(item: pytest.Item) -> list[str]:
    names: list[str] = getattr(item, "fixturenames", [])
    return names


def _place(item: pytest.Item) -> int:
    """The place of the last of the shared servers that a test needs, or 0."""
    names = _fixtures_of(item)
    return max(place if name in names else 0 for place, name in enumerate(SHARED_SERVERS, 1))


@pytest.fixture(scope="session")
def shared_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[SharedServers]":
    """The real servers that the tests of this session share."""
    from tests.e2e.shared import SharedServers

    wanted = {name for item in request.session.items for name in _fixtures_of(item)}
    lines = [[name for name in line if name in wanted] for line in SERVERS_OF_GROUPS.values()]
    if "PYTEST_XDIST_WORKER" not in os.environ:  # one process for all
        lines = [[name for line in lines for name in line]]
    servers = SharedServers(tmp_path_factory.mktemp("servers"), lines)
    try:
        yield servers
    finally:
        servers.end()


@pytest.fixture(scope="session")
def next_server_loads(shared_servers: "SharedServers") -> None:
    """The first of the shared servers loads from the first test on the real engine on."""
    shared_servers.prepare()


@pytest.fixture(scope="session")
def server(shared_servers: "SharedServers") -> "Server":
    """Return one real server for all tests of the embedded model, which leave it as it was."""
    return shared_servers.use("server")
