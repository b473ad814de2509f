"""The marker profiles that the adapters are tested with."""

import pytest

from tests.server.conftest import PROFILES
from thinking.markers.profile import MarkerProfile


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> MarkerProfile:
    """Run the test once with each profile."""
    return PROFILES[request.param]
