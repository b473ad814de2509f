"""The weight of a thought in the token after it (Quiet-STaR's interpolation), swept."""

from benchmarks.proof.answer_gates import BUDGET, MAX_COMPLETION_TOKENS, entropy_gate
from benchmarks.proof.claims import Claim, Verdict
from benchmarks.proof.drawing import curve, new_axes, png
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Accuracy, Measured
from benchmarks.proof.tables import table

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEMPERATURES = (0.0, 1.0)
THRESHOLD = 1.0


def run(laboratory: Laboratory) -> Finding:
    """See the module."""
    swept = {t: [laboratory.evaluate(mixed(weight, t)) for weight in WEIGHTS] for t in TEMPERATURES}
    accuracies = {t: [m.report.at(BUDGET).accuracy for m in runs] for t, runs in swept.items()}
    rows = [
        [f"{weight:g}", *(str(accuracies[t][i]) for t in TEMPERATURES)]
        for i, weight in enumerate(WEIGHTS)
    ]
    head = ["weight", *(_name(t) for t in TEMPERATURES)]
    claims = [gain_of_mixing(runs, t) for t, runs in swept.items()]
    return Finding(table(head, rows), claims, _picture(accuracies))


def mixed(weight: float, temperature: float) -> EvalRun:
    """One weight, with the entropy gate."""
    return EvalRun(
        f"mix-{weight:g}-at-{temperature:g}",
        "mixed",
        (BUDGET,),
        temperature=temperature,
        max_completion_tokens=MAX_COMPLETION_TOKENS,
        options={**entropy_gate(THRESHOLD), "mix": weight},
    )


def gain_of_mixing(runs: list[Measured], temperature: float) -> Claim:
    """That some mixture does better than the thought alone."""
    *others, alone = runs
    best = max(range(1, len(others)), key=lambda i: others[i].report.at(BUDGET).accuracy.share)
    difference = paired_difference(others[best].by_task(BUDGET), alone.by_task(BUDGET))
    return Claim(
        f"{_name(temperature).capitalize()}, the best mixture ({WEIGHTS[best]:g}) beats weight 1",
        f"{difference} points",
        Verdict.of(difference.is_gain),
    )


def _name(temperature: float) -> str:
    return f"at temperature {temperature:g}" if temperature else "greedy"


def _picture(accuracies: dict[float, list[Accuracy]]) -> bytes:
    figure, axes = new_axes("Mixed texts, entropy gate", "weight of the thought in the next token")
    for index, (temperature, values) in enumerate(accuracies.items()):
        shares = [accuracy.share for accuracy in values]
        label = _name(temperature)
        curve(axes, WEIGHTS, shares, [a.interval for a in values], index, label)
    axes.set_xticks(WEIGHTS)
    axes.legend(loc="lower right", fontsize="small")
    return png(figure)
