"""Accuracy against the budget of one greedy thought, on chains modulo 10 and 100."""

from benchmarks.proof.claims import POINT, Claim, at_least, at_most, largest_drop, percent
from benchmarks.proof.drawing import curve, new_axes, png
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Report
from benchmarks.proof.tables import count, table

BUDGETS = (0, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128)
MOST_WITHOUT = 0.15
LEAST_AT_KNEE = 0.95
LARGEST_DROP = 2 * POINT


def run(laboratory: Laboratory) -> Finding:
    """See the module."""
    mod10, mod100 = (
        laboratory.evaluate(EvalRun(f"budget-mod{modulus}", f"chains-mod{modulus}", BUDGETS)).report
        for modulus in (10, 100)
    )
    rows = [_row(mod10, mod100, budget) for budget in BUDGETS]
    head = ["budget", "modulo 10", "thought", "modulo 100", "thought"]
    return Finding(
        table(head, rows), [*claims(mod10), *_drop(mod100, 100)], _picture(mod10, mod100)
    )


def claims(report: Report) -> list[Claim]:
    """Of the curve modulo 10."""
    at_zero = report.at(0).accuracy.share
    knee = report.knee.budget if report.knee else max(BUDGETS)
    return [
        at_most("Modulo 10, at most 15 % without a thought", at_zero, MOST_WITHOUT),
        at_least(
            f"Modulo 10, at least 95 % at the knee (budget {knee})",
            report.at(knee).accuracy.share,
            LEAST_AT_KNEE,
        ),
        *_drop(report, 10),
    ]


def _drop(report: Report, modulus: int) -> list[Claim]:
    drop = largest_drop([report.at(budget).accuracy.share for budget in BUDGETS])
    text = f"Modulo {modulus}, never more than 2 points below the best so far"
    return [at_most(text, drop, LARGEST_DROP)]


def _row(mod10: Report, mod100: Report, budget: int) -> list[str]:
    cells = [str(budget)]
    for report in (mod10, mod100):
        point = report.at(budget)
        cells += [str(point.accuracy), count(point.mean_reasoning_tokens)]
    return cells


def _picture(mod10: Report, mod100: Report) -> bytes:
    figure, axes = new_axes("One greedy thought", "thinking budget (tokens)")
    for index, (label, report) in enumerate((("modulo 10", mod10), ("modulo 100", mod100))):
        accuracies = [report.at(budget).accuracy for budget in BUDGETS]
        shares = [accuracy.share for accuracy in accuracies]
        curve(axes, BUDGETS, shares, [a.interval for a in accuracies], index, label)
    if mod10.knee:
        knee = mod10.knee.budget
        share = percent(mod10.at(knee).accuracy.share)
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
    return png(figure)
