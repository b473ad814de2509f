"""Fixtures of the servers that only these tests share."""

import pytest

from tests.e2e.process import Server
from tests.e2e.shared import SharedServers, ThinkerServer


@pytest.fixture(scope="session")
def cramped_server(shared_servers: SharedServers) -> Server:
    """Return the server whose cache has no room for its requests."""
    return shared_servers.use("cramped_server")


@pytest.fixture(scope="session")
def seeing_server(shared_servers: SharedServers) -> Server:
    """Return the server on a tiny model that reads images."""
    return shared_servers.use("seeing_server")


@pytest.fixture(scope="session")
def thinker_server(shared_servers: SharedServers) -> ThinkerServer:
    """Return the server on the thinker, beside its reward model."""
    running = shared_servers.use("thinker_server")
    assert isinstance(running, ThinkerServer)
    return running
