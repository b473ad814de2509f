"""Written thoughts, pauses and implicit thoughts, by how many steps a chain has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.proof.claims import Claim, Verdict, percent
from benchmarks.proof.drawing import new_axes, png, style
from benchmarks.proof.errors import SkippedError
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measured, Point
from benchmarks.proof.servers import say
from benchmarks.proof.tables import count, table

TASKS = "chains-short"
THINKER, IMPLICIT = "thinker", "thinker-implicit"


@dataclass(frozen=True, slots=True, eq=False)  # each is itself: a key
class Kind:
    """A way to think before the answer."""

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
    """See the module; without the distilled model, the others alone."""
    measured = {kind: _measure(laboratory, kind) for kind in (NONE, *PAUSES, WRITTEN)}
    try:
        measured |= {kind: _measure(laboratory, kind) for kind in OF_IMPLICIT}
    except SkippedError as error:
        say(f"kinds: {error}: its rows are left out")
    groups = list(_point(measured[NONE]).groups)
    head = ["", "thought", "all", *(f"{_steps(group)} steps" for group in groups)]
    rows = [_row(kind, _point(m), groups) for kind, m in measured.items()]
    return Finding(table(head, rows), claims(measured), _picture(measured, groups))


def claims(measured: Mapping[Kind, Measured]) -> list[Claim]:
    """That thoughts that are not written help against none, and less than written ones."""
    found = [_beats(measured, PAUSES[-1], NONE)]
    if OF_IMPLICIT[1] in measured:
        found.append(_beats(measured, OF_IMPLICIT[1], NONE))
        found.append(_beats(measured, OF_IMPLICIT[1], OF_IMPLICIT[0]))
    return [*found, _beats(measured, WRITTEN, NONE)]


def _beats(measured: Mapping[Kind, Measured], ours: Kind, theirs: Kind) -> Claim:
    gain = paired_difference(
        measured[ours].by_task(ours.budget), measured[theirs].by_task(theirs.budget)
    )
    text = f"“{ours.label}” beats “{theirs.label}”"
    return Claim(text, f"{gain} points", Verdict.of(gain.is_gain))


def _measure(laboratory: Laboratory, kind: Kind) -> Measured:
    name = f"kinds-{kind.file}"
    return laboratory.evaluate(
        EvalRun(name, TASKS, (kind.budget,), model=kind.model, options=kind.options)
    )


def _point(measured: Measured) -> Point:
    return measured.report.points[0]


def _steps(group: str) -> str:
    """``03 steps`` is 3."""
    return group.split()[0].lstrip("0")


def _row(kind: Kind, point: Point, groups: Sequence[str]) -> list[str]:
    shares = [percent(point.groups[group].share) for group in groups]
    return [kind.label, count(point.mean_reasoning_tokens), str(point.accuracy), *shares]


def _picture(measured: Mapping[Kind, Measured], groups: Sequence[str]) -> bytes:
    figure, axes = new_axes("Short chains modulo 10, by kind of thought", "steps of the chain")
    width = 0.85 / len(measured)
    for index, (kind, m) in enumerate(measured.items()):
        shares = [_point(m).groups[group].share for group in groups]
        xs = [x + (index - (len(measured) - 1) / 2) * width for x in range(len(groups))]
        colour = style(index)[0]
        axes.bar(xs, shares, width, color=colour, label=kind.label)
    axes.set_xticks(range(len(groups)), [_steps(group) for group in groups])
    axes.axhline(0.1, color="black", linestyle=":", linewidth=1, label="guessing")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside right upper", fontsize="small")
    return png(figure)
