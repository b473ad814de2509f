"""Report of a run: tables, JSON and a picture."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.machine import describe_machine
from benchmarks.proof.drawing import COLOURS, HEIGHT, WIDE, render_png
from benchmarks.proof.tables import NOTHING, format_table
from benchmarks.serving.rounds import Results, Round
from benchmarks.serving.sides import LLAMA, PLAIN, THEIR_BUDGET, VLLM, Plan, list_sides

JSON_NAME, PAGE_NAME, PICTURE_NAME = "results.json", "results.md", "results.png"
# The side that others are divided by: vLLM with a budget where ours has one, else without.
_BASE_WITH_BUDGET, _BASE = f"{VLLM}, {THEIR_BUDGET}", f"{VLLM}, {PLAIN}"
_COLUMNS = {
    "first byte ms": "first_byte",
    "first answer ms": "first_answer",
    "gap p50 ms": "gap_p50",
    "gap p99 ms": "gap_p99",
    "API CPU ms/token": "api_cpu",
}


def write_report(folder: Path, plan: Plan, results: Results) -> str:
    """Write ``results.json``, ``.md`` and ``.png`` to `folder`; return the page's text."""
    page = format_page(plan, results)
    data = {"machine": describe_machine(), "plan": asdict(plan), **asdict(results)}
    (folder / JSON_NAME).write_text(json.dumps(data, indent=1), encoding="utf-8")
    (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    (folder / PICTURE_NAME).write_bytes(draw(plan, results.rounds))
    return page


def format_page(plan: Plan, results: Results) -> str:
    """Return the report in Markdown."""
    head = f"{describe_machine()}; {plan.model}, {plan.max_tokens} tokens a reply"
    starts = [[s.server, f"{s.seconds:.0f}", f"{s.memory_mib:,.0f}"] for s in results.starts]
    parts = [
        f"{head}, {plan.budget} of them thought where it thinks; medians of {plan.rounds} rounds:",
        _format_rounds(plan, results.rounds),
        format_table(["server", "start s", "memory MiB"], starts),
        *(f"Not measured: {problem.splitlines()[0]}" for problem in results.problems),
    ]
    return "\n\n".join(parts) + "\n"


def _format_rounds(plan: Plan, rounds: Sequence[Round]) -> str:
    head = ["side", "at once", "temperature", "tokens/s (range)", "of vLLM", "of llama.cpp"]
    rows = []
    groups: dict[tuple[int, float, str], list[Round]] = {}
    for record in rounds:
        groups.setdefault((record.at_once, record.temperature, record.side), []).append(record)
    order = [side.name for side in list_sides(plan)]
    for key in sorted(groups, key=lambda key: (*key[:2], order.index(key[2]))):
        (at_once, temperature, side), group = key, groups[key]
        rates = [r.tokens_per_second for r in group]
        spread = f"{statistics.median(rates):.1f} ({min(rates):.1f}–{max(rates):.1f})"
        ratios = [
            _format_ratio(compute_ratio(rounds, group, base))
            for base in (find_base(side), f"{LLAMA}, {PLAIN}")
        ]
        figures = [_format_median(group, name) for name in _COLUMNS.values()]
        rows.append([side, str(at_once), f"{temperature:g}", spread, *ratios, *figures])
    return format_table([*head, *_COLUMNS], rows)


def find_base(side: str) -> str:
    """Return the side of vLLM's that `side` is compared with."""
    return _BASE if side.endswith(PLAIN) else _BASE_WITH_BUDGET


def compute_ratio(rounds: Sequence[Round], group: Sequence[Round], base: str) -> float | None:
    """Return the median of the ratios of tokens a second, each within one round.

    None where the base was not measured, or is the group's own side.
    """
    theirs = {r.place: r.tokens_per_second for r in rounds if r.side == base}
    ratios = [
        r.tokens_per_second / theirs[r.place] for r in group if r.side != base and r.place in theirs
    ]
    return statistics.median(ratios) if ratios else None


def _format_ratio(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f} ×"


def _format_median(group: Sequence[Round], name: str) -> str:
    values = [value for r in group if (value := getattr(r, name)) is not None]
    if not values:
        return NOTHING
    median = statistics.median(values)
    return f"{median:.3f}" if median < 1 else f"{median:,.0f}"


def draw(plan: Plan, rounds: Sequence[Round]) -> bytes:
    """Return a PNG: tokens a second by load and side, a plot for each temperature."""
    figure = Figure(figsize=(WIDE, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(1, len(plan.temperatures), squeeze=False)[0]
    sides = list(dict.fromkeys(r.side for r in rounds))
    for axes, temperature in zip(plots, plan.temperatures, strict=True):
        for place, side in enumerate(sides):
            groups = [
                [
                    r.tokens_per_second
                    for r in rounds
                    if (r.side, r.at_once, r.temperature) == (side, load, temperature)
                ]
                for load in plan.loads
            ]
            heights = [statistics.median(group) if group else 0.0 for group in groups]
            width = 0.8 / len(sides)
            xs = [x + (place - (len(sides) - 1) / 2) * width for x in range(len(plan.loads))]
            axes.bar(xs, heights, width, label=side, color=COLOURS[place % len(COLOURS)])
        axes.set_title(f"{plan.model}, temperature {temperature:g}", loc="left", fontsize="medium")
        axes.set_xticks(range(len(plan.loads)), [str(load) for load in plan.loads])
        axes.set_xlabel("streamed chats at once")
        axes.grid(alpha=0.3, axis="y")
        axes.spines[["top", "right"]].set_visible(False)
    plots[0].set_ylabel("tokens a second")
    plots[0].legend(fontsize="small")
    return render_png(figure)
