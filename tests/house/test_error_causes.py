"""Every code of an error in the source is in the closed set that metrics count by."""

import ast

from server.errors.causes import CAUSES
from tests.house.sources import python_files

UNAVAILABLE = "UnavailableError"


def codes_in(tree: ast.AST) -> set[str]:
    """Values of ``code=…`` in calls, and the second argument of UnavailableError, also of its
    ``super().__init__`` in a class made from it."""
    values: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            values += [word.value for word in node.keywords if word.arg == "code"]
            if ast.unparse(node.func) == UNAVAILABLE:
                values += node.args[1:2]
        elif isinstance(node, ast.ClassDef) and UNAVAILABLE in map(ast.unparse, node.bases):
            for call in (inner for inner in ast.walk(node) if isinstance(inner, ast.Call)):
                if ast.unparse(call.func) == "super().__init__":
                    values += call.args[1:2]
    constants = (value.value for value in values if isinstance(value, ast.Constant))
    return {constant for constant in constants if isinstance(constant, str)}


def test_every_code_is_a_cause() -> None:
    found = set().union(*(codes_in(ast.parse(p.read_text())) for p in python_files("server")))
    assert "engine_dead" in found
    assert "invalid_value" in found
    assert "quota_storage_unavailable" in found
    assert found <= set(CAUSES)


def test_causes_are_named_once() -> None:
    assert len(CAUSES) == len(set(CAUSES))
