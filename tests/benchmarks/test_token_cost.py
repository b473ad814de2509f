"""The cost of a token is told from that of its request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.token_cost import Crowd, compute_cost

MICROSECONDS = st.floats(1, 10_000)


@given(MICROSECONDS, MICROSECONDS, st.integers(1, 64), st.integers(1, 50), st.integers(51, 900))
def test_the_parts_of_a_cost_are_found_again(
    request: float, token: float, num_requests: int, few: int, many: int
) -> None:
    short, long = (
        Crowd(num_requests * (request + token * each) / 1e6, num_requests * each)
        for each in (few, many)
    )
    cost = compute_cost(short, long, num_requests)
    assert cost.token == pytest.approx(token, rel=1e-3, abs=1e-2)
    assert cost.request == pytest.approx(request, rel=1e-3, abs=1)
