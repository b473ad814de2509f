"""Coding agents, unmodified: a whole task with their own tools, over the scripted engine."""

import re
from pathlib import Path

import pytest

from tests.sdk.agents.catalogue import Agent
from tests.sdk.agents.conftest import Task
from tests.sdk.agents.launching import Launch
from tests.sdk.agents.playing import FINAL_ANSWER
from tests.sdk.agents.serving import check_untroubled
from tests.sdk.agents.tasks import FILE, LINE

# In one process: each agent's task is run once.
pytestmark = [pytest.mark.sdk, pytest.mark.xdist_group("agents")]


def test_an_agents_task_ends_with_the_answer_after_its_last_tool(task: Task) -> None:
    assert FINAL_ANSWER in task.printed


def test_a_file_is_written_by_the_agents_own_tool(task: Task) -> None:
    assert (task.folder / FILE).read_text(encoding="utf-8").strip() == LINE


def test_results_of_tools_come_back_in_the_history(task: Task) -> None:
    prompt = task.model.last_prompt
    for call in task.model.calls:
        assert call.write() in prompt
        assert call.result in prompt


def test_no_request_of_the_task_is_refused(task: Task) -> None:
    check_untroubled(task.requests)
    assert {request["endpoint"] for request in task.replies} == {task.agent.endpoint}


def test_what_the_agent_sends_without_effect_is_known(task: Task) -> None:
    paths = {path for request in task.requests for path in request["ignored_fields"]}
    assert {re.sub(r"\[\d+\]", "[]", path) for path in paths} == set(task.agent.ignored)


def test_the_agents_budget_arrives_in_the_task(task: Task) -> None:
    receipts = [receipt for request in task.replies for receipt in request["thinking"]]
    assert task.agent.source in {receipt["source"] for receipt in receipts}
    assert all(receipt["used"] <= receipt["budget"] for receipt in receipts)


def test_what_runs_is_the_locked_version(agent: Agent, tmp_path: Path) -> None:
    printed = Launch([agent.name, "--version"]).run(tmp_path / "home", tmp_path)
    assert agent.locked_version() in printed
