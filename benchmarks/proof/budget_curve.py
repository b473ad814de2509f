"""Accuracy against the budget of one greedy thought, on chains modulo 10 and 100."""

from benchmarks.proof.claims import (
    POINT,
    Claim,
    claim_at_least,
    claim_at_most,
    find_largest_drop,
    format_percent,
)
from benchmarks.proof.drawing import draw_curve, make_axes, render_png
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Report
from benchmarks.proof.tables import format_count, format_table

BUDGETS = (0, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128)
MOST_WITHOUT = 0.15
LEAST_AT_KNEE = 0.95
LARGEST_DROP = 2 * POINT


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    mod10, mod100 = (
        laboratory.evaluate(EvalRun(f"budget-mod{modulus}", f"chains-mod{modulus}", BUDGETS)).report
        for modulus in (10, 100)
    )
    rows = [_format_row(mod10, mod100, budget) for budget in BUDGETS]
    head = ["budget", "modulo 10", "thought", "modulo 100", "thought"]
    return Finding(
        format_table(head, rows),
        [*make_claims(mod10), *_make_drop_claims(mod100, 100)],
        _draw_picture(mod10, mod100),
    )


def make_claims(report: Report) -> list[Claim]:
    """Return the claims on the curve modulo 10."""
    at_zero = report.get_point(0).accuracy.share
    knee = report.knee.budget if report.knee else max(BUDGETS)
    return [
        claim_at_most("Modulo 10, at most 15 % without a thought", at_zero, MOST_WITHOUT),
        claim_at_least(
            f"Modulo 10, at least 95 % at the knee (budget {knee})",
            report.get_point(knee).accuracy.share,
            LEAST_AT_KNEE,
        ),
        *_make_drop_claims(report, 10),
    ]


def _make_drop_claims(report: Report, modulus: int) -> list[Claim]:
    drop = find_largest_drop([report.get_point(budget).accuracy.share for budget in BUDGETS])
    text = f"Modulo {modulus}, never more than 2 points below the best so far"
    return [claim_at_most(text, drop, LARGEST_DROP)]


def _format_row(mod10: Report, mod100: Report, budget: int) -> list[str]:
    cells = [str(budget)]
    for report in (mod10, mod100):
        point = report.get_point(budget)
        cells += [str(point.accuracy), format_count(point.mean_reasoning_tokens)]
    return cells


def _draw_picture(mod10: Report, mod100: Report) -> bytes:
    figure, axes = make_axes("One greedy thought", "thinking budget (tokens)")
    for index, (label, report) in enumerate((("modulo 10", mod10), ("modulo 100", mod100))):
        accuracies = [report.get_point(budget).accuracy for budget in BUDGETS]
        shares = [accuracy.share for accuracy in accuracies]
        draw_curve(axes, BUDGETS, shares, [a.interval for a in accuracies], index, label)
    if mod10.knee:
        knee = mod10.knee.budget
        share = format_percent(mod10.get_point(knee).accuracy.share)
        axes.axvline(knee, color="grey", linestyle=":", linewidth=1)
        axes.annotate(
            f"knee, modulo 10:\nbudget {knee}, {share}",
            (knee, 0.3),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize="small",
        )
    axes.set_xticks([0, 16, 32, 48, 64, 80, 96, 128])
    axes.legend(loc="upper left", fontsize="small")
    return render_png(figure)
