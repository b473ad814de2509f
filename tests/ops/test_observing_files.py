"""The files of deploy/ for Prometheus, Alertmanager and Grafana are valid and consistent.

Grafana itself does not run here: its SDK parses the dashboard, and test_scraping.py sends its
queries to a real Prometheus.
"""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.house.sources import ROOT
from tests.ops import programs
from tests.ops.observed import (
    ALERTMANAGER,
    DASHBOARD,
    GRAFANA,
    PROMETHEUS,
    RULES,
    alerts,
    document,
    panels,
    questions,
)

SECRETS = "/run/secrets/"


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        text = (PROMETHEUS / name).read_text().replace(SECRETS, f"{tmp_path}/")
        (tmp_path / name).write_text(text)
    (tmp_path / "metrics_key").write_text("secret")
    result = programs.run(["promtool", "check", "config", str(tmp_path / "prometheus.yml")])
    assert result.returncode == 0, result.stdout


def test_promtool_takes_the_rules() -> None:
    result = programs.run(["promtool", "check", "rules", "--lint=all", str(RULES)])
    assert result.returncode == 0, result.stdout
    assert "SUCCESS" in result.stdout


def test_amtool_takes_the_routes(tmp_path: Path) -> None:
    # Debian's Alertmanager is older than `url_file`.
    text = re.sub(r"url_file: .*", "url: http://127.0.0.1:9/", ALERTMANAGER.read_text())
    (tmp_path / "alertmanager.yml").write_text(text)
    result = programs.run(["amtool", "check-config", str(tmp_path / "alertmanager.yml")])
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = rule["annotations"]
    assert annotations["summary"]
    assert annotations["description"]
    assert annotations["runbook"] == f"docs/operations.md#{name.lower()}"
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    assert name in headings
    assert headings == list(alerts())


def test_the_dashboard_is_what_its_code_makes() -> None:
    made = runpy.run_path(str(GRAFANA / "build_dashboard.py"))["build"]()
    assert DASHBOARD.read_text() == made, "run: python deploy/grafana/build_dashboard.py"


def test_the_dashboard_can_be_read_back() -> None:
    register_default_plugins()
    text = DASHBOARD.read_text()
    board = Dashboard.from_json(json.loads(text))
    again = json.dumps(board, cls=JSONEncoder)
    assert json.loads(again, object_hook=_without_empty) == json.loads(
        text, object_hook=_without_empty
    )


def _without_empty(object_: dict[str, Any]) -> dict[str, Any]:
    """Drop empty objects, which the SDK writes where it has read none."""
    return {name: value for name, value in object_.items() if value != {}}


def test_panels_have_titles_places_and_questions() -> None:
    every = panels()
    ids = [panel["id"] for panel in every]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        assert panel["title"]
        assert panel["targets"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("query", questions())
def test_a_query_is_promql(query: str) -> None:
    promql.parse(query)


def test_grafana_is_told_where_things_are() -> None:
    sources = document(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")
    (source,) = sources["datasources"]
    assert source["type"] == "prometheus"
    providers = document(GRAFANA / "provisioning" / "dashboards" / "thinking-server.yml")
    (provider,) = providers["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


def test_the_rules_watch_the_job_that_is_scraped() -> None:
    (job,) = document(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert f'job="{job["job_name"]}"' in alerts()["ThinkingServerDown"]["expr"]
