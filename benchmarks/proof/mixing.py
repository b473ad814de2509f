"""Sweep of the weight of a thought in the token after it (Quiet-STaR's interpolation)."""

from benchmarks.proof.answer_gates import BUDGET, MAX_COMPLETION_TOKENS, make_entropy_gate
from benchmarks.proof.claims import Claim, Verdict
from benchmarks.proof.drawing import draw_curve, make_axes, render_png
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import compute_paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Accuracy, Measurement
from benchmarks.proof.tables import format_table

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEMPERATURES = (0.0, 1.0)
THRESHOLD = 1.0


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    swept = {
        t: [laboratory.evaluate(make_run(weight, t)) for weight in WEIGHTS] for t in TEMPERATURES
    }
    accuracies = {
        t: [m.report.get_point(BUDGET).accuracy for m in runs] for t, runs in swept.items()
    }
    rows = [
        [f"{weight:g}", *(str(accuracies[t][i]) for t in TEMPERATURES)]
        for i, weight in enumerate(WEIGHTS)
    ]
    head = ["weight", *(_describe_temperature(t) for t in TEMPERATURES)]
    claims = [make_gain_claim(runs, t) for t, runs in swept.items()]
    return Finding(format_table(head, rows), claims, _draw_picture(accuracies))


def make_run(weight: float, temperature: float) -> EvalRun:
    """Return the run of one weight, with the entropy gate."""
    return EvalRun(
        f"mix-{weight:g}-at-{temperature:g}",
        "mixed",
        (BUDGET,),
        temperature=temperature,
        max_completion_tokens=MAX_COMPLETION_TOKENS,
        options={**make_entropy_gate(THRESHOLD), "mix": weight},
    )


def make_gain_claim(runs: list[Measurement], temperature: float) -> Claim:
    """Return the claim that some mixture does better than the thought alone."""
    *others, alone = runs
    best = max(
        range(1, len(others)), key=lambda i: others[i].report.get_point(BUDGET).accuracy.share
    )
    difference = compute_paired_difference(
        others[best].compute_task_shares(BUDGET), alone.compute_task_shares(BUDGET)
    )
    return Claim(
        f"{_describe_temperature(temperature).capitalize()}, the best mixture ({WEIGHTS[best]:g}) "
        "beats weight 1",
        f"{difference} points",
        Verdict.from_bool(difference.is_gain),
    )


def _describe_temperature(temperature: float) -> str:
    return f"at temperature {temperature:g}" if temperature else "greedy"


def _draw_picture(accuracies: dict[float, list[Accuracy]]) -> bytes:
    figure, axes = make_axes("Mixed texts, entropy gate", "weight of the thought in the next token")
    for index, (temperature, values) in enumerate(accuracies.items()):
        shares = [accuracy.share for accuracy in values]
        label = _describe_temperature(temperature)
        draw_curve(axes, WEIGHTS, shares, [a.interval for a in values], index, label)
    axes.set_xticks(WEIGHTS)
    axes.legend(loc="lower right", fontsize="small")
    return render_png(figure)
