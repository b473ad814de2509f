"""The picture of searches: accuracy against all tokens, a line a strategy."""

from collections.abc import Sequence
from typing import Protocol

from matplotlib.axes import Axes

from benchmarks.proof.drawing import curve, new_plots, png, style
from benchmarks.proof.report import Point

LAST_TICK = 500


class Drawn(Protocol):
    """A point of a strategy."""

    @property
    def family(self) -> str:
        """Whose line it is on."""

    @property
    def point(self) -> Point:
        """What was measured."""

    @property
    def tokens(self) -> float:
        """Where it lies."""


def search_picture(titles: Sequence[str], sets: Sequence[Sequence[Drawn]]) -> bytes:
    """One plot a task set, the same colours in each."""
    figure, plots = new_plots([f"Chains {title}" for title in titles], "mean generated tokens")
    for axes, drawn in zip(plots, sets, strict=True):
        _draw(axes, drawn)
    handles, labels = plots[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    return png(figure)


def _draw(axes: Axes, drawn: Sequence[Drawn]) -> None:
    for index, family in enumerate(dict.fromkeys(one.family for one in drawn)):
        line = sorted((d for d in drawn if d.family == family), key=lambda d: d.tokens)
        accuracies = [d.point.accuracy for d in line]
        shares = [accuracy.share for accuracy in accuracies]
        intervals = [accuracy.interval for accuracy in accuracies]
        curve(axes, [d.tokens for d in line], shares, intervals, index, family)
        if not index:
            _draw_on(axes, line[-1])
    axes.set_xscale("log")
    axes.set_xlim(right=LAST_TICK * 1.3)
    ticks = [15, 30, 60, 120, 250, LAST_TICK]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _draw_on(axes: Axes, last: Drawn) -> None:
    """More budget does not lengthen a thought that has ended: what it would give at the right."""
    share, colour = last.point.accuracy.share, style(0)[0]
    axes.plot([last.tokens, LAST_TICK * 1.3], [share, share], ":", color=colour, linewidth=1)
