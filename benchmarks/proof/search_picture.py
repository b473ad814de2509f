"""Picture of the searches: accuracy against all tokens, one line per strategy."""

from collections.abc import Sequence
from typing import Protocol

from matplotlib.axes import Axes

from benchmarks.proof.drawing import choose_style, draw_curve, make_plots, render_png
from benchmarks.proof.report import Point

LAST_TICK = 500


class PlottedPoint(Protocol):
    """Point of a strategy."""

    @property
    def family(self) -> str:
        """Strategy whose line the point is on."""

    @property
    def point(self) -> Point:
        """Results at the point."""

    @property
    def tokens(self) -> float:
        """Position on the token axis."""


def draw_searches(titles: Sequence[str], sets: Sequence[Sequence[PlottedPoint]]) -> bytes:
    """Return the picture: one plot per task set, with the same colours in each."""
    figure, plots = make_plots([f"Chains {title}" for title in titles], "mean generated tokens")
    for axes, drawn in zip(plots, sets, strict=True):
        _draw(axes, drawn)
    handles, labels = plots[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    return render_png(figure)


def _draw(axes: Axes, drawn: Sequence[PlottedPoint]) -> None:
    for index, family in enumerate(dict.fromkeys(one.family for one in drawn)):
        line = sorted((d for d in drawn if d.family == family), key=lambda d: d.tokens)
        accuracies = [d.point.accuracy for d in line]
        shares = [accuracy.share for accuracy in accuracies]
        intervals = [accuracy.interval for accuracy in accuracies]
        draw_curve(axes, [d.tokens for d in line], shares, intervals, index, family)
        if not index:
            _extend_line(axes, line[-1])
    axes.set_xscale("log")
    axes.set_xlim(right=LAST_TICK * 1.3)
    ticks = [15, 30, 60, 120, 250, LAST_TICK]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _extend_line(axes: Axes, last: PlottedPoint) -> None:
    """Extend the line to the right: more budget does not lengthen a thought that has ended."""
    share, colour = last.point.accuracy.share, choose_style(0)[0]
    axes.plot([last.tokens, LAST_TICK * 1.3], [share, share], ":", color=colour, linewidth=1)
