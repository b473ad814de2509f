"""Coding agents, unmodified: a turn on the real engine, which thinks within the agent's budget."""

import pytest

from tests.sdk.agents.conftest import Run
from tests.sdk.agents.serving import check_untroubled

pytestmark = [pytest.mark.sdk, pytest.mark.e2e]


def test_a_turn_on_the_real_engine_thinks_within_the_agents_budget(turn: Run) -> None:
    check_untroubled(turn.requests)
    receipts = [receipt for request in turn.replies for receipt in request["thinking"]]
    own = [receipt for receipt in receipts if receipt["source"] == turn.agent.source]
    assert own
    for receipt in own:
        assert 0 < receipt["used"] <= receipt["budget"]


def test_the_answer_of_the_real_engine_is_shown(turn: Run) -> None:
    assert turn.printed.strip()
