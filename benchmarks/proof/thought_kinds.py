"""Written thoughts, pauses and implicit thoughts, by the number of steps of a chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.proof.claims import Claim, Verdict, format_percent
from benchmarks.proof.drawing import choose_style, make_axes, render_png
from benchmarks.proof.errors import SkippedError
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import compute_paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measurement, Point
from benchmarks.proof.servers import say
from benchmarks.proof.tables import format_count, format_table

TASKS = "chains-short"
THINKER, IMPLICIT = "thinker", "thinker-implicit"


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: used as keys
class Kind:
    """Way of thinking before the answer."""

    label: str
    file: str
    budget: int
    options: Mapping[str, Any]
    model: str = THINKER


NONE = Kind("no thought", "none", 0, {})
PAUSES = tuple(Kind(f"{b - 2} pauses", f"pause-{b}", b, {"kind": "pause"}) for b in (6, 18, 34))
WRITTEN = Kind("written", "written", 128, {})
OF_IMPLICIT = (
    Kind("distilled model, no thought", "none", 0, {}, IMPLICIT),
    Kind("distilled model, implicit", "implicit", 8, {"kind": "implicit"}, IMPLICIT),
    Kind("distilled model, written", "written", 128, {}, IMPLICIT),
)


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment; without the distilled model, its rows are left out."""
    measured = {kind: _measure(laboratory, kind) for kind in (NONE, *PAUSES, WRITTEN)}
    try:
        measured |= {kind: _measure(laboratory, kind) for kind in OF_IMPLICIT}
    except SkippedError as error:
        say(f"kinds: {error}: its rows are left out")
    groups = list(_get_point(measured[NONE]).groups)
    head = ["", "thought", "all", *(f"{_parse_steps(group)} steps" for group in groups)]
    rows = [_format_row(kind, _get_point(m), groups) for kind, m in measured.items()]
    return Finding(format_table(head, rows), make_claims(measured), _draw_picture(measured, groups))


def make_claims(measured: Mapping[Kind, Measurement]) -> list[Claim]:
    """Return the claims that pauses, implicit and written thoughts each beat no thought."""
    found = [_make_claim(measured, PAUSES[-1], NONE)]
    if OF_IMPLICIT[1] in measured:
        found.append(_make_claim(measured, OF_IMPLICIT[1], NONE))
        found.append(_make_claim(measured, OF_IMPLICIT[1], OF_IMPLICIT[0]))
    return [*found, _make_claim(measured, WRITTEN, NONE)]


def _make_claim(measured: Mapping[Kind, Measurement], ours: Kind, theirs: Kind) -> Claim:
    gain = compute_paired_difference(
        measured[ours].compute_task_shares(ours.budget),
        measured[theirs].compute_task_shares(theirs.budget),
    )
    text = f"“{ours.label}” beats “{theirs.label}”"
    return Claim(text, f"{gain} points", Verdict.from_bool(gain.is_gain))


def _measure(laboratory: Laboratory, kind: Kind) -> Measurement:
    name = f"kinds-{kind.file}"
    return laboratory.evaluate(
        EvalRun(name, TASKS, (kind.budget,), model=kind.model, options=kind.options)
    )


def _get_point(measured: Measurement) -> Point:
    return measured.report.points[0]


def _parse_steps(group: str) -> str:
    """Return the number of steps of a group: ``03 steps`` gives 3."""
    return group.split()[0].lstrip("0")


def _format_row(kind: Kind, point: Point, groups: Sequence[str]) -> list[str]:
    shares = [format_percent(point.groups[group].share) for group in groups]
    return [kind.label, format_count(point.mean_reasoning_tokens), str(point.accuracy), *shares]


def _draw_picture(measured: Mapping[Kind, Measurement], groups: Sequence[str]) -> bytes:
    figure, axes = make_axes("Short chains modulo 10, by kind of thought", "steps of the chain")
    width = 0.85 / len(measured)
    for index, (kind, m) in enumerate(measured.items()):
        shares = [_get_point(m).groups[group].share for group in groups]
        xs = [x + (index - (len(measured) - 1) / 2) * width for x in range(len(groups))]
        colour = choose_style(index)[0]
        axes.bar(xs, shares, width, color=colour, label=kind.label)
    axes.set_xticks(range(len(groups)), [_parse_steps(group) for group in groups])
    axes.axhline(0.1, color="black", linestyle=":", linewidth=1, label="guessing")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside right upper", fontsize="small")
    return render_png(figure)
