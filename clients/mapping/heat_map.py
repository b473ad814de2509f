"""A map as a PNG: the text coloured by the gain of a thought, with the curves below it.

Draws what a map holds and computes nothing; needs no display.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from clients.extras import require
from clients.mapping.layout import LINE_WIDTH, Cell, lay_out
from clients.mapping.thought_map import ThoughtMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

DPI = 150
WIDTH = 11.0
LINE_HEIGHT = 0.34  # inches
CURVE_HEIGHT = 2.7
MARGIN = 1.5
FONT = "DejaVu Sans Mono"
FONT_SIZE = 11.5
# Diverging and safe for colour-blind readers: orange loses, purple gains.
COLOURS = "PuOr"
WITHOUT, WITH, MIXED = "#E69F00", "#56308F", "#009E73"
# Smaller gains stay pale, even if all gains of the map are small.
MIN_RANGE = 0.5
MAX_LABELS = 64  # tokens named below the curves
MAX_LABEL_LENGTH = 14


def draw(thought_map: ThoughtMap, title: str | None = None) -> bytes:
    """Return the picture of a map.

    Raises:
        UsageError: matplotlib is not installed.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = lay_out([_replace_missing_glyphs(position.token) for position in thought_map.positions])
    text_height = LINE_HEIGHT * (cells[-1].line + 1)
    figure = Figure(figsize=(WIDTH, text_height + CURVE_HEIGHT + MARGIN), layout="constrained")
    FigureCanvasAgg(figure)
    heights = figure.add_gridspec(2, 1, height_ratios=[text_height, CURVE_HEIGHT], hspace=0.08)
    _draw_text(figure, figure.add_subplot(heights[0]), thought_map, cells)
    has_sweep = len(thought_map.mix) > 2
    below = heights[1].subgridspec(1, 2, width_ratios=[3, 1]) if has_sweep else None
    _draw_curves(figure.add_subplot(below[0] if below else heights[1]), thought_map)
    if below:
        _draw_sweep(figure.add_subplot(below[1]), thought_map)
    figure.suptitle(title or _make_title(thought_map), fontsize="medium")
    file = BytesIO()
    # Without the version of matplotlib in it, the same map gives the same bytes.
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _make_title(thought_map: ThoughtMap) -> str:
    return (
        f"{thought_map.model}: gain for the next token from at most "
        f"{thought_map.thought_tokens} tokens of thought"
    )


def _draw_text(figure: "Figure", axes: "Axes", thought_map: ThoughtMap, cells: list[Cell]) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    most = max(MIN_RANGE, *(abs(position.gain) for position in thought_map.positions))
    norm, colours = Normalize(-most, most), colormaps[COLOURS]
    for position, cell in zip(thought_map.positions, cells, strict=True):
        _draw_cell(axes, cell, position.gain, norm, colours)
    axes.set_xlim(0, max(LINE_WIDTH / 2, *(cell.column + cell.width for cell in cells)))
    axes.set_ylim(cells[-1].line + 1, 0)
    axes.axis("off")
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=axes, location="top", aspect=60, shrink=0.5, pad=0.01
    )
    bar.set_label("gain: log-probability with the thought minus without, nats", fontsize="small")
    bar.ax.tick_params(labelsize="small")


def _draw_cell(
    axes: "Axes", cell: Cell, gain: float, norm: "Normalize", colours: "Colormap"
) -> None:
    from matplotlib.patches import Rectangle

    red, green, blue, _ = colour = colours(norm(gain))
    axes.add_patch(
        Rectangle(
            (cell.column, cell.line + 0.06),
            cell.width,
            0.88,
            facecolor=colour,
            edgecolor="#cccccc",
            linewidth=0.6,
        )
    )
    is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
    axes.text(
        cell.column + cell.width / 2,
        cell.line + 0.5,
        cell.text.strip(),  # the cell is as wide as the token, spaces and all
        family=FONT,
        fontsize=FONT_SIZE,
        color="white" if is_dark else "black",
        ha="center",
        va="center_baseline",
        parse_math=False,
        clip_on=True,
    )


def _draw_curves(axes: "Axes", thought_map: ThoughtMap) -> None:
    positions = thought_map.positions
    xs = [position.index for position in positions]
    without = [position.logprob for position in positions]
    with_thought = [position.logprob_with_thought for position in positions]
    style: dict[str, Any] = {"linewidth": 1.1, "markersize": 4}
    axes.vlines(xs, without, with_thought, color="#bbbbbb", linewidth=1)
    axes.plot(xs, without, color=WITHOUT, marker="o", label="without a thought", **style)
    axes.plot(xs, with_thought, color=WITH, marker="^", label="with a thought", **style)
    axes.set_ylabel("log-probability, nats")
    axes.set_xlim(-0.6, len(xs) - 0.4)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    if len(xs) > MAX_LABELS:
        axes.set_xlabel("position in the text")
        return
    cells = lay_out(
        [_replace_missing_glyphs(position.token) for position in positions], MAX_LABEL_LENGTH
    )
    names = [cell.text.strip() or "␣" for cell in cells]
    axes.set_xticks(xs, names, rotation=90, family=FONT, fontsize=8, parse_math=False)


def _draw_sweep(axes: "Axes", thought_map: ThoughtMap) -> None:
    points = sorted(zip(thought_map.mix, thought_map.mean_logprob_mixed, strict=True))
    axes.plot(*zip(*points, strict=True), color=MIXED, marker="s", markersize=4)
    axes.set_xlabel("weight of the thought")
    axes.set_ylabel("mean log-probability, nats")
    axes.set_xlim(-0.04, 1.04)
    axes.grid(alpha=0.3)


def _replace_missing_glyphs(token: str) -> str:
    """Return the token with boxes in place of characters that the font lacks."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont(FONT)).get_charmap()
    return "".join(char if char in "\n\t" or ord(char) in known else "▯" for char in token)
