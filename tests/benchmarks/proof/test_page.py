"""Generated text replaces its own block of the page and nothing else."""

from pathlib import Path

import pytest

from benchmarks.proof.__main__ import EXPERIMENTS, PAGE, main
from benchmarks.proof.claims import claim_at_most
from benchmarks.proof.experiment import Finding
from benchmarks.proof.page import PageError, make_begin_comment, make_end_comment, replace_block
from benchmarks.proof.publication import Publication, make_block, make_picture_path

EMPTY = """# Page

Before.

<!-- begin a -->
<!-- end a -->

Between.

<!-- begin b -->
b
<!-- end b -->
"""


def test_only_the_block_changes() -> None:
    page = replace_block(EMPTY, "a", "new\n\nlines\n")
    assert page == EMPTY.replace("begin a -->\n", "begin a -->\nnew\n\nlines\n")


def test_a_block_is_replaced_whole_and_again_gives_the_same() -> None:
    once = replace_block(EMPTY, "b", "new")
    assert "\nb\n" not in once
    assert replace_block(replace_block(EMPTY, "b", "old\nand longer"), "b", "new") == once


def test_what_looks_like_a_pattern_is_text() -> None:
    assert r"\1 \g<0>" in replace_block(EMPTY, "a", r"\1 \g<0>")


@pytest.mark.parametrize(
    "page",
    [
        "",
        make_begin_comment("a"),
        make_end_comment("a"),
        f"{make_end_comment('a')}\n{make_begin_comment('a')}",
        f"{make_begin_comment('a')}\n{make_end_comment('a')}\n{make_begin_comment('a')}\n{make_end_comment('a')}",
    ],
)
def test_a_page_without_one_such_block_is_left_alone(page: str) -> None:
    with pytest.raises(PageError, match="begin a"):
        replace_block(page, "a", "new")


def test_every_experiment_has_its_block_in_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for experiment in EXPERIMENTS:
        replace_block(text, experiment.name, "new")


def test_a_block_holds_picture_tables_verdicts_and_where_they_come_from() -> None:
    block = make_block("gate", Finding("| a |", [claim_at_most("Few", 0.1, 0.2)], b"png"))
    parts = block.split("\n\n")
    assert parts[0] == "![gate](pictures/proof-gate.png)"
    assert parts[1:3] == ["| a |", "- Few: 10.0 %: **shown**."]
    assert "--only gate" in parts[3]
    assert "cores" in parts[3]


def test_a_trial_leaves_the_page_alone_and_keeps_what_it_has_found(tmp_path: Path) -> None:
    source = tmp_path / "docs.md"
    source.write_text(EMPTY)
    trial = Publication(source, tmp_path / "trial" / "docs.md")
    trial.page.parent.mkdir()
    trial.publish("a", Finding("found a", picture=b"png"))
    trial.publish("b", Finding("found b"))
    assert source.read_text() == EMPTY
    assert "found a" in trial.page.read_text()
    assert "found b" in trial.page.read_text()
    assert (trial.page.parent / make_picture_path("a")).read_bytes() == b"png"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--only", "budget,gat"], "'gat' is none of budget"), (["--limit", "1"], "should be 2")],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_the_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [e.name for e in EXPERIMENTS]
