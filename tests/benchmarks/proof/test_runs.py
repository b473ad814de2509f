"""Command lines of the experiments, and how their results are read."""

import json
from pathlib import Path

import pytest

from benchmarks.proof.errors import SkippedError
from benchmarks.proof.evaluation import EvalRun, find_task_file
from benchmarks.proof.harness import count_agreements, read_samples
from benchmarks.proof.laboratory import compute_fingerprint
from benchmarks.proof.report import Accuracy, Measurement, Point, Report
from benchmarks.proof.servers import find_folder
from benchmarks.proof.thought_search import SEARCHES, Trial, find_rival, make_family_claim
from clients.cli import make_parser


def make_trial(label: str, tokens: float, right: int, folder: Path) -> Trial:
    """Return a trial over ten tasks, of which the first `right` are right."""
    accuracy = Accuracy(right=right, total=10, share=right / 10, interval=(0.0, 1.0))
    point = Point(
        budget=8,
        replies=10,
        accuracy=accuracy,
        mean_completion_tokens=tokens,
        mean_reasoning_tokens=tokens,
    )
    outcomes = [
        {"task": str(n), "budget": 8, "right": int(n < right), "total": 1} for n in range(10)
    ]
    lines = "".join(json.dumps(outcome) + "\n" for outcome in outcomes)
    (folder / f"{label}.outcomes.jsonl").write_text(lines)
    report = Report(label=label, points=[point], knee=None)
    return Trial(label, label, Measurement(folder / f"{label}.json", report), 8)


def test_the_command_line_accepts_the_arguments_of_every_experiment() -> None:
    for search in SEARCHES:
        run = EvalRun(
            "name",
            "chains-mod10",
            (0, search.budget),
            temperature=1.0,
            options={"strategy": dict(search.options)},
            extra={"min_thinking_tokens": 3},
        )
        parsed = make_parser().parse_args(run.to_arguments("http://x/v1", Path("out/name"), 5))
        assert parsed.budgets == f"0,{search.budget}"
        assert parsed.option == [("strategy", dict(search.options))]
        assert parsed.extra == [("min_thinking_tokens", 3)]
        assert (parsed.limit, parsed.temperature, parsed.output) == (5, 1.0, "out/name")


def test_what_is_left_out_is_not_sent() -> None:
    arguments = EvalRun("name", "mixed", (8,)).to_arguments("http://x/v1", Path("out"), None)
    assert not [a for a in arguments if a.startswith(("--limit", "--temp", "--max-comp"))]


def test_a_missing_task_set_or_model_is_skipped_by_name() -> None:
    with pytest.raises(SkippedError, match="chains-mod7"):
        find_task_file("chains-mod7")
    with pytest.raises(SkippedError, match="thinker-tomorrow"):
        find_folder("thinker-tomorrow")


def test_other_weights_have_another_folder(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes(b"1")
    before = compute_fingerprint(tmp_path)
    assert compute_fingerprint(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert compute_fingerprint(tmp_path) != before


def test_a_search_is_compared_with_the_best_that_used_no_more_tokens(tmp_path: Path) -> None:
    singles = [
        make_trial("a", 20, 3, tmp_path),
        make_trial("b", 60, 8, tmp_path),
        make_trial("c", 90, 5, tmp_path),
    ]
    assert find_rival(make_trial("x", 60, 9, tmp_path), singles).label == "b"
    assert find_rival(make_trial("x", 100, 9, tmp_path), singles).label == "b"
    assert find_rival(make_trial("x", 59, 9, tmp_path), singles).label == "a"


def test_a_strategy_is_judged_by_its_surest_variant(tmp_path: Path) -> None:
    singles = [make_trial("one", 20, 1, tmp_path)]
    variants = [make_trial("weak", 50, 1, tmp_path), make_trial("strong", 90, 10, tmp_path)]
    claim = make_family_claim("modulo 10", variants, singles)
    assert str(claim).startswith("Modulo 10, strong beats one thought at equal total tokens: +90.0")
    assert str(claim).endswith("**shown**")


def test_samples_of_the_harness_are_read_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    samples = [
        {"doc_id": 10, "filter": "number", "exact_match": 1.0},
        {"doc_id": 2, "filter": "number", "exact_match": 0.0},
        {"doc_id": 2, "filter": "none", "exact_match": 1.0},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    assert read_samples(path) == [False, True]


def test_agreement_needs_as_many_verdicts_on_both_sides() -> None:
    assert count_agreements([True, False, True], [True, True, True]) == 2
    with pytest.raises(ValueError, match="shorter"):
        count_agreements([True, False], [True])
