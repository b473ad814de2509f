"""``thinking compare``: tables and pictures from reports alone."""

from pathlib import Path

import pytest

from clients.cli import main
from clients.errors import ExitCode
from clients.evaluation.accuracy import compute_accuracy
from clients.evaluation.axis import TokenAxis
from clients.evaluation.comparison import interpolate_accuracy
from clients.evaluation.picture import draw
from clients.evaluation.points import Point
from clients.evaluation.report import Report, TaskSummary


def make_report(label: str, *points: tuple[int, int, float], sha256: str = "x") -> Report:
    """Return a report of (budget, right of 100, tokens of thought) points, 5 tokens per answer."""
    return Report(
        label=label,
        tasks=TaskSummary(name="chains", sha256=sha256, num_tasks=100, broken=[]),
        settings={},
        samples=1,
        points=[
            Point(
                budget=budget,
                replies=100,
                errors=0,
                accuracy=compute_accuracy((str(n), int(n < right), 1) for n in range(100)),
                mean_reasoning_tokens=tokens,
                mean_completion_tokens=tokens + 5,
                groups={"easy": compute_accuracy([("1", 1, 1)])},
            )
            for budget, right, tokens in points
        ],
        knee=None,
        knee_share=0.97,
        errors=[],
    )


ALWAYS = make_report("always", (0, 10, 0.0), (64, 80, 40.0), (128, 90, 100.0))
GATE = make_report("gate", (64, 89, 50.0))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for report in (ALWAYS, GATE):
        Path(f"{report.label}.json").write_bytes(report.to_json())
    return tmp_path


def test_runs_are_compared_with_the_first(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a=always.json", "gate.json", "--output", "x.png"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "gate at its best: -1.0 points against a at its best" in said
    assert "for 50.0 % of its tokens of thought" in said
    assert "81.7 %" in said  # a, between its points at 40 and 100 tokens
    assert (files / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_is_not_continued_where_nothing_was_measured() -> None:
    assert interpolate_accuracy(ALWAYS, 20.0, TokenAxis.REASONING) == pytest.approx(0.45)
    assert interpolate_accuracy(ALWAYS, 101.0, TokenAxis.REASONING) is None
    assert interpolate_accuracy(ALWAYS, 101.0, TokenAxis.COMPLETION) is not None
    assert interpolate_accuracy(ALWAYS, 4.0, TokenAxis.COMPLETION) is None


def test_an_unfair_comparison_is_flagged(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_report("other", (64, 89, 50.0), sha256="y")
    Path("other.json").write_bytes(other.to_json())
    assert main(["compare", "always.json", "other.json"]) == ExitCode.OK
    assert "other and always ran different tasks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.json"], "none.json"),
        (["always.json", "always.json"], "not unique"),
        (["always.json", "--output", "x.pdf"], ".png"),
        (["bad.json"], "not a report"),
    ],
)
def test_what_cannot_be_compared_is_named(
    files: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.json").write_text('{"format": "thinking-eval/1"}', encoding="utf-8")
    assert main(["compare", *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not Path("x.pdf").exists()


def test_without_a_count_of_thought_the_axis_is_all_that_was_generated(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [p.model_copy(update={"mean_reasoning_tokens": None}) for p in GATE.points]
    uncounted = GATE.model_copy(update={"points": points})
    assert TokenAxis.REASONING.choose_for([ALWAYS, GATE]) is TokenAxis.REASONING
    assert TokenAxis.REASONING.choose_for([ALWAYS, uncounted]) is TokenAxis.COMPLETION
    Path("gate.json").write_bytes(uncounted.to_json())
    assert main(["compare", "always.json", "gate.json"]) == ExitCode.OK
    said = capsys.readouterr()
    assert "generated tokens" in said.out
    assert "tokens of thought" not in said.out
    assert "reports thinking tokens" in said.err


def test_the_same_reports_give_the_same_picture() -> None:
    reports = [ALWAYS, GATE]
    pictures = [draw(reports, with_groups=True, is_logarithmic=True) for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_a_report_is_read_back_as_it_was() -> None:
    assert Report.model_validate_json(ALWAYS.to_json()) == ALWAYS
