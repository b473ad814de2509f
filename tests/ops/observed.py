"""The Prometheus queries of deploy/: those of the dashboard and of the rules.

Reads files only, runs nothing.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from tests.house.sources import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "thinking-server.json"
RULES = PROMETHEUS / "alerts.yml"
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})


def document(path: Path) -> Any:
    """Return the parsed YAML of `path`."""
    return yaml.safe_load(path.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    """Return all rules in the order of the file."""
    return [rule for group in document(RULES)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels, without rows."""
    board = json.loads(DASHBOARD.read_text("utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def dashboard_queries() -> Iterator[str]:
    """Yield the queries as Grafana sends them with all variables selected, over a minute."""
    for panel in panels():
        for target in panel["targets"]:
            chosen = re.sub(r"\$(job|instance|model)", ".+", target["expr"])
            yield chosen.replace("$__rate_interval", "1m")


def questions() -> list[str]:
    """Return the operands of rules and dashboard: unlike an inactive alert, they have data."""
    queries = [rule["expr"] for rule in rules()] + list(dashboard_queries())
    return sorted({part for query in queries for part in operands(promql.parse(query))})


def operands(expression: promql.Expr) -> Iterator[str]:
    """Yield the parts of `expression` that should have data at any time."""
    match expression:
        case promql.ParenExpr():
            yield from operands(expression.expr)
        case promql.NumberLiteral():
            return
        case promql.BinaryExpr() if str(expression.op) in COMPARISONS | {"and", "or", "unless"}:
            yield from operands(expression.lhs)
            yield from operands(expression.rhs)
        case promql.Call() if expression.func.name == "absent":
            for argument in expression.args:
                yield from operands(argument)
        case _:
            yield expression.prettify()


def names_in(query: str) -> set[str]:
    """Return the names of the metrics that `query` reads."""
    found: set[str] = set()

    def note(expression: promql.Expr) -> None:
        match expression:
            case promql.VectorSelector(name=str(name)):
                found.add(name)
            case promql.MatrixSelector(vector_selector=promql.VectorSelector(name=str(name))):
                found.add(name)
            case _:
                pass

    promql.walk(promql.parse(query), note)
    return found
