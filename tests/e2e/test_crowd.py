"""A small crowd of good and bad clients at the real server: nothing is lost, nothing is left."""

import pytest

from benchmarks.faults.crowd import Plan, find_left_over, run_crowd
from benchmarks.faults.outcome import Outcome, Tally
from tests.e2e.shared import ThinkerServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PLAN = Plan(num_clients=40, seconds=10.0, kill_after=None, model="thinker", seed=11)


async def test_in_a_crowd_no_request_is_lost_and_nothing_is_left(
    thinker_server: ThinkerServer,
) -> None:
    tally = Tally()
    await run_crowd(thinker_server.base_url, PLAN, tally)
    assert not tally.faults
    assert not tally.outcomes[Outcome.FAILED]
    # The test is about these: it had better have had some of each.
    assert tally.outcomes[Outcome.FINISHED]
    assert tally.outcomes[Outcome.DISCONNECTED]
    assert tally.outcomes[Outcome.REJECTED]
    assert await find_left_over(thinker_server.base_url) == {}
