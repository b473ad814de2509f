"""Each spelling of the dialect table, on the chat endpoint."""

import pytest

from server.dialects.page import render_page
from server.dialects.spellings import SPELLINGS
from tests.house.sources import ROOT
from tests.server.conftest import Serve, wants
from tests.server.dialects.rows import HIGH, LOW, REPLY_LIMIT, ROWS, WRAP_UP, Row

DEFAULT = 60
OPTIONS = {"default_thinking_tokens": DEFAULT, "effort_tokens": {"low": LOW, "high": HIGH}}
# The model would never end this thought.
THOUGHT = "so it goes on, " * 40


def test_every_spelling_has_a_row() -> None:
    assert [row.path for row in ROWS] == [spelling.path for spelling in SPELLINGS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_a_spelling_means_what_its_server_means_by_it(serve: Serve, row: Row) -> None:
    served = serve(wants(THOUGHT), **OPTIONS)
    reply = await served.chat(max_tokens=REPLY_LIMIT, temperature=0, **row.make_body(row.value))
    assert reply.status_code == 200, reply.text
    choice = reply.json()["choices"][0]
    receipt = choice["thinking"]
    assert receipt["budget"] == (DEFAULT if row.budget is None else row.budget)
    assert receipt["source"] == ("default" if row.budget is None else row.path)
    assert receipt["used"] <= receipt["budget"]
    assert ("reasoning" in choice["message"]) == row.shows


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_a_wrong_value_is_named(serve: Serve, row: Row) -> None:
    reply = await serve().chat(**row.make_body(row.wrong))
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == row.path
    assert error["message"].startswith(f"{row.path}: should be ")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_null_means_not_set(serve: Serve, row: Row) -> None:
    served = serve(wants("fine</think>yes"), **OPTIONS)
    reply = await served.chat(max_tokens=REPLY_LIMIT, **row.make_body(None))
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["thinking"]["source"] == "default"


@pytest.mark.parametrize("row", [row for row in ROWS if "." in row.path], ids=lambda row: row.path)
async def test_a_misspelt_neighbour_is_named(serve: Serve, row: Row) -> None:
    body = Row(f"{row.path}s", row.value).make_body(row.value)
    reply = await serve().chat(**body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "unknown_field" or "chat template" in error["message"]
    assert row.path.rpartition(".")[2] in error["message"]


@pytest.mark.parametrize(
    "path", ["reasoning_budget_message", "logits_processors_args.think_stop_sentence"]
)
async def test_a_foreign_closing_text_ends_a_cut_thought(serve: Serve, path: str) -> None:
    served = serve(wants(THOUGHT))
    reply = await served.chat(
        max_thinking_tokens=50,
        include_reasoning=True,
        temperature=0,
        **Row(path, WRAP_UP).make_body(WRAP_UP),
    )
    assert reply.json()["choices"][0]["message"]["reasoning"].endswith(WRAP_UP)


def test_the_page_in_the_docs_is_current() -> None:
    assert (ROOT / "docs" / "dialects.md").read_text() == render_page()
