"""Gates inside an answer: think everywhere, at its start, when uncertain, or after a word.

Uses texts in which easy and hard positions alternate.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.proof.claims import POINT, ROUNDING, Claim, Verdict, format_percent
from benchmarks.proof.drawing import choose_style, make_axes, render_png
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import compute_paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measurement, Point
from benchmarks.proof.tables import format_count, format_table

BUDGET = 600
MAX_COMPLETION_TOKENS = 800
MAX_SEGMENTS = 200
ALWAYS, OPENING, ENTROPY, NEVER = "always", "opening thought", "entropy > 1.0", "never"
MOST_LOST = POINT
MOST_TOKENS = 0.6
LOWEST_DRAWN = 0.4


def make_gate_options(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for thoughts inside the answer only, each after at least one of its tokens."""
    return {"gate": {"gap": 1, "opening": False, **gate}, "max_segments": MAX_SEGMENTS}


def make_entropy_gate(threshold: float) -> dict[str, Any]:
    """Return the options of a gate that opens above `threshold` nats."""
    return make_gate_options({"mode": "entropy", "threshold": threshold})


GATES: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    NEVER: (0, {}),
    OPENING: (BUDGET, {}),
    "entropy > 0.3": (BUDGET, make_entropy_gate(0.3)),
    ENTROPY: (BUDGET, make_entropy_gate(1.0)),
    "entropy > 1.5": (BUDGET, make_entropy_gate(1.5)),
    'after "holds "': (BUDGET, make_gate_options({"mode": "after", "strings": ["holds "]})),
    ALWAYS: (BUDGET, make_gate_options({"mode": "every", "tokens": 1})),
}
FILES = ("never", "opening", "entropy-0.3", "entropy-1.0", "entropy-1.5", "after", "always")


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
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
    rows = [_format_row(name, _get_point(m)) for name, m in measured.items()]
    head = ["think", "accuracy", "thought", "all tokens"]
    claims = [make_claim_against(measured, other) for other in (ALWAYS, OPENING)]
    return Finding(format_table(head, rows), claims, _draw_picture(measured))


def make_claim_against(measured: Mapping[str, Measurement], other: str) -> Claim:
    """Return the claim that the entropy gate equals `other` with fewer tokens of thought."""
    ours, theirs = measured[ENTROPY], measured[other]
    difference = compute_paired_difference(
        ours.compute_task_shares(BUDGET), theirs.compute_task_shares(BUDGET)
    )
    share = _get_point(ours).mean_reasoning_tokens / _get_point(theirs).mean_reasoning_tokens
    holds = difference.value >= -MOST_LOST - ROUNDING and share <= MOST_TOKENS + ROUNDING
    return Claim(
        f"{ENTROPY} within 1 point of “{other}” for at most 60 % of its thought",
        f"{difference} points for {format_percent(share)}",
        Verdict.from_bool(holds),
    )


def _get_point(measured: Measurement) -> Point:
    return measured.report.points[0]


def _format_row(name: str, point: Point) -> list[str]:
    tokens = (point.mean_reasoning_tokens, point.mean_completion_tokens)
    return [name, str(point.accuracy), *map(format_count, tokens)]


def _draw_picture(measured: Mapping[str, Measurement]) -> bytes:
    figure, axes = make_axes("Mixed texts: where to think", "mean tokens of thought per reply")
    axes.set_xscale("symlog", linthresh=10)
    axes.set_ylim(LOWEST_DRAWN, 1.03)
    for index, (name, m) in enumerate(measured.items()):
        point = _get_point(m)
        x, (low, high) = point.mean_reasoning_tokens, point.accuracy.interval
        colour, marker = choose_style(index)
        axes.vlines(x, low, high, color=colour, alpha=0.5)
        # Hollow markers: several points coincide.
        (drawn,) = axes.plot([x], [point.accuracy.share], marker, color=colour, label=name)
        drawn.set(markerfacecolor="none", markeredgewidth=2, markersize=10)
    ticks = (0, 5, 10, 20, 50, 100, 200, 500)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(-1, 900)
    axes.legend(loc="lower right", fontsize="small")
    return render_png(figure)
