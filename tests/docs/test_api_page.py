"""docs/api.md has the endpoints, the fields and the receipt that the server has."""

import re
from typing import Any

import pytest

from tests.docs.api_page import PAGE, get_document, render_page


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return get_document()


def test_the_generated_tables_are_current(document: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == render_page(page, document), "run `python -m tests.docs.api_page`"


def test_the_receipt_has_a_row_for_each_of_its_fields(document: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition("## The receipt\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    fields = set(document["components"]["schemas"]["Receipt"]["properties"])
    assert sorted(named) == sorted(set(named))
    assert fields - set(named) == set()
    # Of a reply that has moved between engines; the document leaves it out.
    assert set(named) - fields <= {"migrations"}


def test_no_field_of_a_thought_is_in_two_tables(document: dict[str, Any]) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## How much to think\n")[2]
    names = re.findall(r"^\| `(\w+)`", section.partition("\n## ")[0], re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    properties = document["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    assert set(names) <= set(properties)
