"""``thinking export`` against our app, on a real socket."""

import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli import main
from clients.errors import ExitCode
from tests.clients.traces.conftest import THOUGHT, StartTraced, Traced

THOUGHTFUL = f"<think>{THOUGHT}</think>42"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(traced: Traced, kind: str, *arguments: str) -> int:
    return main(
        ["export", "--format", kind, "--output", "x.jsonl", "--url", traced.url, *arguments]
    )


def read_rows(name: str = "x.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def make_messages(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def judge_both(traced: Traced, question: str = "6 x 7?") -> None:
    """Judge a good and a bad answer."""
    traced.judge(traced.ask(question), 1.0)
    traced.judge(traced.ask(question, thinks=False), 0.0)


def test_sft_has_the_good_answers_with_their_thoughts(traced: Traced) -> None:
    judge_both(traced)
    traced.ask("unjudged")
    assert export(traced, "sft", "--validation", "0") == ExitCode.OK
    question = make_messages("user", "6 x 7?")
    assert read_rows() == [
        {"prompt": question, "completion": make_messages("assistant", THOUGHTFUL)}
    ]
    assert export(traced, "sft-messages", "--validation", "0", "--no-thoughts") == ExitCode.OK
    assert read_rows() == [{"messages": [*question, *make_messages("assistant", "42")]}]


def test_dpo_pairs_good_and_bad_answers_of_one_prompt(traced: Traced) -> None:
    judge_both(traced)
    traced.judge(traced.ask("only good"), 1.0)
    traced.judge(traced.ask("only bad", thinks=False), 0.0)
    assert export(traced, "dpo", "--validation", "0") == ExitCode.OK
    assert read_rows() == [
        {
            "prompt": make_messages("user", "6 x 7?"),
            "chosen": make_messages("assistant", THOUGHTFUL),
            "rejected": make_messages("assistant", "7"),
        }
    ]


def test_a_text_that_was_judged_both_ways_is_in_no_pair(traced: Traced) -> None:
    judge_both(traced)
    traced.judge(traced.ask("6 x 7?"), 0.0)
    assert export(traced, "dpo", "--validation", "0") == ExitCode.FAILED


def test_the_same_prompt_is_never_in_both_files(traced: Traced) -> None:
    for number in range(20):
        for system in ("Be kind.", "Be short."):
            messages = make_messages("system", system) + make_messages("user", f"question {number}")
            traced.judge(traced.ask("", messages=messages), 1.0)
    assert export(traced, "sft", "--validation", "0.5") == ExitCode.OK
    sides = [
        {row["prompt"][1]["content"] for row in read_rows(name)}
        for name in ("x.jsonl", "x.validation.jsonl")
    ]
    assert len(read_rows()) + len(read_rows("x.validation.jsonl")) == 40
    assert all(sides)
    assert not sides[0] & sides[1]


def test_the_report_has_the_figures_and_warns(
    traced: Traced, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        traced.judge(traced.ask("6 x 7?"), 1.0)
    traced.ask("unjudged")
    assert export(traced, "sft", "--validation", "0") == ExitCode.OK
    report = json.loads(Path("x.report.json").read_text())
    assert (report["train"], report["validation"]) == (1, 0)
    assert report["left_out"] == {"no verdict": 1}
    assert report["diversity"]["repeated"] == pytest.approx(2 / 3)
    assert report["diversity"]["prompts"] == 1
    share = len(THOUGHTFUL) / (len(THOUGHTFUL) + len("6 x 7?"))
    assert report["diversity"]["model_written"] == pytest.approx(share)
    warned = capsys.readouterr().err
    for word in ("only 1 prompts", "repeat another"):
        assert word in warned
        assert any(word in warning for warning in report["warnings"])


def test_cut_and_empty_answers_are_left_out(traced: Traced) -> None:
    traced.judge(traced.ask("6 x 7?", max_completion_tokens=1, thinks=False), 1.0)
    gate = {"gate": {"mode": "every", "tokens": 1}, "segment_tokens": 8}
    traced.judge(traced.ask("6 x 7?", thinking_options=gate), 1.0)
    traced.judge(traced.ask("good"), 1.0)
    assert export(traced, "sft", "--validation", "0") == ExitCode.OK
    assert len(read_rows()) == 1
    left_out = json.loads(Path("x.report.json").read_text())["left_out"]
    assert left_out == {"cut off": 1, "thoughts inside the answer": 1}


def test_verdicts_can_be_those_of_one_verifier(traced: Traced) -> None:
    reply_id = traced.ask("6 x 7?")
    traced.judge(reply_id, 1.0, verifier="strict")
    traced.judge(reply_id, 0.0, verifier="grumpy")
    fields = ("--validation", "0", "--good-from", "0.9")
    assert export(traced, "sft", *fields) == ExitCode.FAILED
    assert export(traced, "sft", *fields, "--verifier", "strict") == ExitCode.OK


def test_where_there_is_nothing_to_write_nothing_is_written(
    start_traced: StartTraced, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traced = start_traced()
    traced.ask("6 x 7?")
    before = set(folder.iterdir())
    assert export(traced, "sft") == ExitCode.FAILED
    assert "1 no verdict" in capsys.readouterr().err
    assert export(start_traced(trace_store=None), "sft") == ExitCode.FAILED
    bad = ["export", "--format", "sft", "--output"]
    assert main([*bad, "x.csv"]) == ExitCode.USAGE
    assert main([*bad, "nowhere/x.jsonl"]) == ExitCode.USAGE
    assert set(folder.iterdir()) - before == set()
