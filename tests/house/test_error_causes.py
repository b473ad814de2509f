"""Every code of an error in the source is in the closed set that metrics count by."""

import ast

from server.error_causes import CAUSES
from tests.house.sources import python_files


def codes_in(tree: ast.AST) -> set[str]:
    """Values of ``code=…`` in calls and defaults, and the second argument of UnavailableError."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        values = [word.value for word in node.keywords if word.arg == "code"]
        if isinstance(node.func, ast.Name) and node.func.id == "UnavailableError":
            values += node.args[1:2]
        constants = (value for value in values if isinstance(value, ast.Constant))
        found |= {c.value for c in constants if isinstance(c.value, str)}
    return found


def test_every_code_is_a_cause() -> None:
    found = set().union(*(codes_in(ast.parse(p.read_text())) for p in python_files("server")))
    assert "engine_dead" in found
    assert "invalid_value" in found
    assert found <= set(CAUSES)


def test_causes_are_named_once() -> None:
    assert len(CAUSES) == len(set(CAUSES))
