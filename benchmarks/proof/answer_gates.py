"""Where to think inside an answer: everywhere, at its start, where in doubt, after a word.

On texts in which easy and hard positions alternate.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.proof.claims import POINT, ROUNDING, Claim, Verdict, percent
from benchmarks.proof.drawing import new_axes, png, style
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measured, Point
from benchmarks.proof.tables import count, table

BUDGET = 600
MAX_COMPLETION_TOKENS = 800
MAX_SEGMENTS = 200
ALWAYS, OPENING, ENTROPY, NEVER = "always", "opening thought", "entropy > 1.0", "never"
MOST_LOST = POINT
MOST_TOKENS = 0.6
LOWEST_DRAWN = 0.4


def gated(gate: Mapping[str, Any]) -> dict[str, Any]:
    """The options of thoughts inside the answer only, each after at least one token of it."""
    return {"gate": {"gap": 1, "opening": False, **gate}, "max_segments": MAX_SEGMENTS}


def entropy_gate(threshold: float) -> dict[str, Any]:
    """The options of a gate that opens above so many nats."""
    return gated({"mode": "entropy", "threshold": threshold})


GATES: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    NEVER: (0, {}),
    OPENING: (BUDGET, {}),
    "entropy > 0.3": (BUDGET, entropy_gate(0.3)),
    ENTROPY: (BUDGET, entropy_gate(1.0)),
    "entropy > 1.5": (BUDGET, entropy_gate(1.5)),
    'after "holds "': (BUDGET, gated({"mode": "after", "strings": ["holds "]})),
    ALWAYS: (BUDGET, gated({"mode": "every", "tokens": 1})),
}
FILES = ("never", "opening", "entropy-0.3", "entropy-1.0", "entropy-1.5", "after", "always")


def run(laboratory: Laboratory) -> Finding:
    """See the module."""
    measured = {
        name: laboratory.evaluate(
            EvalRun(
                f"gate-{file}",
                "mixed",
                (budget,),
                max_completion_tokens=MAX_COMPLETION_TOKENS,
                options=options,
            )
        )
        for file, (name, (budget, options)) in zip(FILES, GATES.items(), strict=True)
    }
    rows = [_row(name, _point(m)) for name, m in measured.items()]
    head = ["think", "accuracy", "thought", "all tokens"]
    claims = [claim_against(measured, other) for other in (ALWAYS, OPENING)]
    return Finding(table(head, rows), claims, _picture(measured))


def claim_against(measured: Mapping[str, Measured], other: str) -> Claim:
    """That the entropy gate is as good as `other` for fewer tokens of thought."""
    ours, theirs = measured[ENTROPY], measured[other]
    difference = paired_difference(ours.by_task(BUDGET), theirs.by_task(BUDGET))
    share = _point(ours).mean_reasoning_tokens / _point(theirs).mean_reasoning_tokens
    holds = difference.value >= -MOST_LOST - ROUNDING and share <= MOST_TOKENS + ROUNDING
    return Claim(
        f"{ENTROPY} within 1 point of “{other}” for at most 60 % of its thought",
        f"{difference} points for {percent(share)}",
        Verdict.of(holds),
    )


def _point(measured: Measured) -> Point:
    return measured.report.points[0]


def _row(name: str, point: Point) -> list[str]:
    tokens = (point.mean_reasoning_tokens, point.mean_completion_tokens)
    return [name, str(point.accuracy), *map(count, tokens)]


def _picture(measured: Mapping[str, Measured]) -> bytes:
    figure, axes = new_axes("Mixed texts: where to think", "mean tokens of thought a reply")
    axes.set_xscale("symlog", linthresh=10)
    axes.set_ylim(LOWEST_DRAWN, 1.03)
    for index, (name, m) in enumerate(measured.items()):
        point = _point(m)
        x, (low, high) = point.mean_reasoning_tokens, point.accuracy.interval
        colour, marker = style(index)
        axes.vlines(x, low, high, color=colour, alpha=0.5)
        # Hollow: several lie on one place.
        (drawn,) = axes.plot([x], [point.accuracy.share], marker, color=colour, label=name)
        drawn.set(markerfacecolor="none", markeredgewidth=2, markersize=10)
    ticks = (0, 5, 10, 20, 50, 100, 200, 500)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(-1, 900)
    axes.legend(loc="lower right", fontsize="small")
    return png(figure)
