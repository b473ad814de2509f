"""Budgets under load: which ones shrink, which never do, and how the receipt reports it."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.admission.load import LoadCurve
from server.engine.protocol import EngineLoad
from server.settings.settings import ServerSettings
from tests.house.sources import ROOT
from tests.server.conftest import Serve, wants
from thinking.budget import BudgetPolicy, BudgetRequest, Effort, resolve_budget

LONG = "z" * 400
shares = st.floats(0.01, 1)
loads = st.floats(0, 1)


@given(start=loads, floor=shares, load=loads, more=loads)
def test_the_share_falls_from_one_to_the_floor(
    start: float, floor: float, load: float, more: float
) -> None:
    curve = LoadCurve(start, floor)
    assert floor <= curve.compute_share(load) <= 1
    assert curve.compute_share(min(start, load)) == 1
    assert start == 1 or curve.compute_share(1.0) == floor
    assume(load <= more)
    assert curve.compute_share(more) <= curve.compute_share(load) + 1e-12


async def request_receipt(served: Any, **fields: Any) -> dict[str, Any]:
    response = await served.chat(temperature=0, **fields)
    assert response.status_code == 200, response.text
    body = response.json()
    thinking: dict[str, Any] = body["choices"][0]["thinking"]
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == thinking["used"]
    assert thinking["used"] <= thinking["budget"]
    return thinking


@pytest.mark.parametrize(
    ("fields", "budget", "limited_by"),
    [
        ({}, 10, "load"),
        ({"reasoning_effort": "low"}, 20, "load"),
        ({"enable_thinking": True}, 10, "load"),
        ({"max_thinking_tokens": 100}, 100, None),
        ({"max_thinking_tokens": 250}, 200, "model"),
        ({"think_budget": 0.25, "max_completion_tokens": 400}, 100, None),
        ({"min_thinking_tokens": 50}, 50, "load"),
        ({"reasoning_effort": "none"}, 0, None),
        ({"reasoning_effort": "max", "max_completion_tokens": 80}, 6, "load"),
        # Text that does not fit the small budget is planned under the full one: never a 400.
        ({"thinking_options": {"wrap_up": "That is all I know."}}, 100, None),
    ],
)
async def test_defaults_and_efforts_shrink_and_explicit_counts_do_not(
    serve: Serve, fields: dict[str, Any], budget: int, limited_by: str | None
) -> None:
    served = serve(
        wants(LONG), max_model_len=2000, default_thinking_tokens=100, max_thinking_tokens=200
    )
    served.engine.load = EngineLoad(num_running=1, kv_cache_usage=1.0)
    thinking = await request_receipt(served, **fields)
    assert (thinking["budget"], thinking["limited_by"]) == (budget, limited_by)


async def test_an_idle_server_shrinks_nothing_and_the_metrics_show_it(serve: Serve) -> None:
    served = serve(
        wants(LONG), max_model_len=2000, default_thinking_tokens=100, load_shrink_from=0.5
    )
    served.engine.load = EngineLoad(kv_cache_usage=0.5)
    assert (await request_receipt(served))["budget"] == 100
    served.engine.load = EngineLoad(kv_cache_usage=0.75)
    assert (await request_receipt(served))["budget"] == 55
    text = (await served.http.get("/metrics")).text
    assert "thinking_load 0.75\n" in text
    assert "thinking_load_budget_share 0.55\n" in text


async def test_the_load_is_that_of_the_most_loaded_part(serve: Serve) -> None:
    served = serve(max_concurrent_requests=10)
    for load, expected in [
        (EngineLoad(), 0.0),
        (EngineLoad(10, 0, 0.25), 0.25),
        (EngineLoad(10, 5, 0.25), 0.5),
        (EngineLoad(10, 500, 0.25), 1.0),
    ]:
        served.engine.load = load
        assert served.services.load.read_load() == expected


def test_the_table_in_the_docs_matches_the_curve() -> None:
    settings = ServerSettings()
    curve = LoadCurve(settings.load_shrink_from, settings.load_shrink_floor)
    rows = re.findall(
        r"^\| (\d\.\d\d) \| (\d\.\d\d) \| (\d+) \| (\d+) \| 2000 \|$",
        (ROOT / "docs/load.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 4
    for load, share, default, high in rows:
        policy = BudgetPolicy(load_share=curve.compute_share(float(load)))
        assert f"{policy.load_share:.2f}" == share
        for ask, shown in [(BudgetRequest(), default), (BudgetRequest(effort=Effort.HIGH), high)]:
            budget = resolve_budget(ask, policy, max_completion_tokens=None, context_left=100_000)
            assert str(budget.budget) == shown
