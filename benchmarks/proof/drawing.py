"""Common style of all pictures of the page.

Knows axes and colours, no experiment. Needs no display.
"""

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette and two more, safe for colour-blind readers; markers work without
# colour.
COLOURS = tuple("#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000 #999999 #882255".split())
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
WIDTH, WIDE, HEIGHT, DPI = 7.5, 12.0, 4.5, 150  # inches, and dots per inch


def make_axes(title: str, x_label: str) -> tuple[Figure, Axes]:
    """Return a figure with one plot."""
    figure, (axes,) = make_plots([title], x_label)
    return figure, axes


def make_plots(titles: Sequence[str], x_label: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with plots side by side, whose vertical axes show a share."""
    width = WIDTH if len(titles) == 1 else WIDE
    figure = Figure(figsize=(width, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    plots = list(figure.subplots(1, len(titles), squeeze=False)[0])
    for axes, title in zip(plots, titles, strict=True):
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_xlabel(x_label)
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    plots[0].set_ylabel("accuracy")
    return figure, plots


def draw_curve(
    axes: Axes,
    xs: Sequence[float],
    shares: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    index: int,
    label: str,
) -> None:
    """Draw a line with its points and their bands; `index` selects colour and marker."""
    colour, marker = choose_style(index)
    axes.plot(xs, shares, color=colour, marker=marker, markersize=5, label=label)
    lows, highs = zip(*intervals, strict=True)
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.13, linewidth=0)


def choose_style(index: int) -> tuple[str, str]:
    """Return the colour and the marker of a line."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def render_png(figure: Figure) -> bytes:
    """Return the figure as a PNG.

    The same figure gives the same bytes: the version of matplotlib is left out.
    """
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
