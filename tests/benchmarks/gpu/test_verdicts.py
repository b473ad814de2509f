"""A verdict is the target's, on what was measured, and none where nothing was."""

from pathlib import Path

import pytest

from benchmarks.gpu import sides
from benchmarks.gpu.records import (
    LAW_BROKEN,
    Check,
    Fact,
    Journal,
    Problem,
    Record,
    Round,
    StepTime,
    read_journal,
)
from benchmarks.gpu.report import format_page, write_report
from benchmarks.gpu.verdicts import Verdict, judge


def make_step(
    device_us: float, *, side: str = "ours", tokens: int = 100, kernels: float = 2.0
) -> StepTime:
    return StepTime(
        side=side,
        option=sides.BUDGET,
        rows=256,
        tokens=tokens,
        device_us=device_us,
        low_us=device_us - 1,
        high_us=device_us + 1,
        host_us=30.0,
        kernels=kernels,
        waits=False,
    )


def make_rounds(stage: str, side: str, *rates: float, at_once: int = 64) -> list[Record]:
    return [Round(stage, side, at_once, rate) for rate in rates]


def find_verdict(records: list[Record], *words: str) -> Verdict:
    (judgement,) = [j for j in judge(records, "cuda") if all(word in j.target for word in words)]
    return judgement.verdict


def test_without_records_every_target_is_unknown() -> None:
    assert {judgement.verdict for judgement in judge([], "cuda")} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(("slowest", "verdict"), [(50.0, Verdict.MET), (50.1, Verdict.MISSED)])
def test_a_step_is_judged_by_its_slowest_length(slowest: float, verdict: Verdict) -> None:
    records: list[Record] = [make_step(45), make_step(slowest, tokens=100_000)]
    assert find_verdict(records, "µs") is verdict


def test_a_step_that_grows_with_the_thought_is_not_flat() -> None:
    records: list[Record] = [make_step(10), make_step(13, tokens=100_000)]
    assert find_verdict(records, "flat") is Verdict.MISSED
    assert find_verdict([make_step(10)], "flat") is Verdict.UNKNOWN


def test_a_step_is_compared_with_vllms_at_the_same_length() -> None:
    ours, theirs = make_step(30, tokens=8000), make_step(10, side="vLLM", tokens=100)
    assert find_verdict([ours, theirs], "vLLM's own budget") is Verdict.UNKNOWN
    same = make_step(10, side="vLLM", tokens=8000)
    assert find_verdict([ours, theirs, same], "vLLM's own budget") is Verdict.MISSED


def test_a_third_kernel_misses_the_target() -> None:
    assert find_verdict([make_step(10, kernels=3)], "kernels") is Verdict.MISSED


def test_rates_are_compared_round_by_round() -> None:
    """A slow minute slows both sides: medians of each side alone would say 0.5."""
    records = [
        *make_rounds("engine", sides.PLAIN, 100, 100, 50, 50, 100),
        *make_rounds("engine", sides.OURS, 99, 99, 49.5, 49.5, 50),
    ]
    assert find_verdict(records, "a budget", "64 at once") is Verdict.MET


def test_idle_has_a_stricter_target_than_a_budget() -> None:
    records = [
        *make_rounds("engine", sides.PLAIN, 100),
        *make_rounds("engine", sides.OURS, 99),
        *make_rounds("engine", sides.IDLE, 99),
    ]
    assert find_verdict(records, "ours, a budget", "64 at once") is Verdict.MET
    assert find_verdict(records, "ours, idle", "64 at once") is Verdict.MISSED


def test_acceptance_is_judged_beside_the_rate() -> None:
    records: list[Record] = [
        Round("speculative", sides.DRAFTS, 1, 100, acceptance=0.5),
        Round("speculative", sides.DRAFTS_BUDGET, 1, 100, acceptance=0.4),
    ]
    assert find_verdict(records, "tokens/s, n-gram", "1 at once") is Verdict.MET
    assert find_verdict(records, "accepted drafts", "1 at once") is Verdict.MISSED


def test_a_broken_law_is_a_missed_target_even_on_a_cpu() -> None:
    records: list[Record] = [Check("engine", "law", 8), Problem("ours", f"{LAW_BROKEN}: why")]
    assert judge(records, "cpu")[-1].verdict is Verdict.MISSED
    assert judge(records[:1], "cpu")[-1].verdict is Verdict.MET


def test_figures_of_a_trial_on_a_cpu_are_not_judged() -> None:
    assert {j.verdict for j in judge([make_step(1)], "cpu")[:-1]} == {Verdict.TRIAL}


def test_the_page_has_both_sides_of_a_step_in_one_line() -> None:
    page = format_page([make_step(30), make_step(15, side="vLLM")], "cuda")
    assert "| 256 | 100 | 30.0 (29.0–31.0) | 30.0 | 2 | no | 15.0 (14.0–16.0) |" in page
    assert "| 2.00 |" in page


def test_the_page_names_what_is_missing() -> None:
    page = format_page([Fact("card", "H100"), Problem("stage server", "too little time")], "cuda")
    assert "- card: H100" in page
    assert "- stage server: too little time" in page
    assert "not measured" in page


def test_a_report_can_be_written_from_half_of_a_journal(tmp_path: Path) -> None:
    """A killed stage leaves a line that was cut off; all lines before it count."""
    journal = Journal(tmp_path / "step.jsonl")
    records: list[Record] = [make_step(30), Round("engine", sides.PLAIN, 1, 100.0, 0.1)]
    for record in records:
        journal.append(record)
    with (tmp_path / "step.jsonl").open("a") as file:
        file.write('{"kind": "StepTime", "side": "ou')
    assert list(read_journal(tmp_path / "step.jsonl")) == records
    write_report(tmp_path, records, "cuda")
    assert '"verdict": "met"' in (tmp_path / "results.json").read_text()
    assert list(read_journal(tmp_path / "nothing.jsonl")) == []
