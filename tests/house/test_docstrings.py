"""Docstrings begin as CONTRIBUTING.md asks: with an imperative, or with a noun phrase."""

import ast
from pathlib import Path

import pytest

from tests.house.sources import PRODUCT, ROOT, python_files

# Beginnings of clauses, which say neither what a function does nor what a thing is.
FORBIDDEN = {
    *("What", "Whether", "Who", "Whoever", "Whose", "Why", "How", "Where", "When"),
    *("One", "Those", "That", "Say", "Says", "Tell", "Tells"),
}


def first_words(path: Path) -> list[str]:
    """``name: first word`` of each docstring in `path`."""
    nodes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    return [
        f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}: {text.split()[0]}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, nodes) and (text := ast.get_docstring(node))
    ]


@pytest.mark.parametrize("package", [*PRODUCT, "benchmarks"])
def test_a_docstring_begins_with_an_imperative_or_a_noun(package: str) -> None:
    words = [word for path in python_files(package) for word in first_words(path)]
    assert not [word for word in words if word.rpartition(": ")[2].strip(".,:") in FORBIDDEN]
