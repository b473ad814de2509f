"""Pictures of the documentation that explain a budget, drawn from what was measured.

``python -m benchmarks.concept_pictures`` draws them again from the table in docs/proof.md and from
docs/pictures/anatomy.json. With ``--url`` it first asks a server on the thinker for the latter.
Measures nothing else.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from matplotlib import rc_context
from matplotlib.axes import Axes

from benchmarks.machine import describe_machine
from benchmarks.proof.drawing import COLOURS, draw_curve, make_axes, render_png
from benchmarks.proof.page import make_begin_comment, make_end_comment

PROOF = Path("docs/proof.md")
PICTURES = Path("docs/pictures")
ANATOMY = PICTURES / "anatomy.json"
QUESTION, RIGHT_ANSWER = "38-3+8+6-9-6+4+5*9 mod 100 =", "87"
BUDGETS = (0, 16, 32, 48, 96)
# What matplotlib is told for a page with a dark background (that of code hosts at night).
DARK = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "#0d1117"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), "#c9d1d9"),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), "#c9d1d9"),
    "legend.facecolor": "#161b22",
}
# Settings and the curve's colour.
THEMES: dict[str, tuple[Any, int]] = {"light": ({}, 0), "dark": (DARK, 5)}
_ROW = re.compile(r"^\| (\d+) \| ([\d.]+) % \(([\d.]+)–([\d.]+)\) ", re.MULTILINE)


class SourceError(Exception):
    """Source of a picture that does not have what is drawn; the message names it."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy modulo 10 at a budget, with its 95 % interval; shares of 1."""

    budget: int
    share: float
    interval: tuple[float, float]


def read_curve(page: str) -> list[CurvePoint]:
    """Return the points of the table of budgets in docs/proof.md.

    Raises:
        SourceError: the page has no such table.
    """
    block = page.partition(make_begin_comment("budget"))[2].partition(make_end_comment("budget"))[0]
    points = [
        CurvePoint(int(budget), float(share) / 100, (float(low) / 100, float(high) / 100))
        for budget, share, low, high in _ROW.findall(block)
    ]
    if not points:
        raise SourceError(f"{PROOF}: no table of budgets")
    return points


def draw_budget_curve(points: Sequence[CurvePoint], colour: int) -> bytes:
    """Return the picture of the README: accuracy against the budget, in a colour of COLOURS."""
    figure, axes = make_axes("", "thinking budget (tokens)")
    budgets = [point.budget for point in points]
    intervals = [point.interval for point in points]
    draw_curve(axes, budgets, [point.share for point in points], intervals, colour, "")
    axes.set_ylabel("right answers")
    axes.set_xticks([budget for budget in budgets if budget % 16 == 0])
    figure.set_size_inches(7.5, 3.2)
    return render_png(figure)


def draw_anatomy(replies: Sequence[dict[str, Any]]) -> bytes:
    """Return the picture of one question at several budgets: where each token went."""
    figure, axes = make_axes(QUESTION, "tokens of the reply")
    axes.set_ylim(len(replies) - 0.4, -0.6)
    axes.set_ylabel("")
    axes.set_yticks(range(len(replies)), labels=[f"budget {reply['budget']}" for reply in replies])
    for row, reply in enumerate(replies):
        _draw_reply(axes, row, reply, is_first=row == len(replies) - 1)
    axes.set_xlim(0, max(BUDGETS) + 40)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.set_size_inches(8.5, 3.6)
    return render_png(figure)


def _draw_reply(axes: Axes, row: int, reply: dict[str, Any], *, is_first: bool) -> None:
    """Draw the bar of one reply; the `is_first` of all gives the legend its names."""
    receipt = reply["thinking"]
    parts = {
        "injected (markers)": (receipt["injected"], COLOURS[4]),
        "thought": (receipt["used"] - receipt["injected"], COLOURS[0]),
        "answer": (reply["completion_tokens"] - receipt["used"], COLOURS[2]),
    }
    left = 0
    for name, (width, colour) in parts.items():
        label = name if is_first else None
        axes.barh(row, width, left=left, height=0.55, color=colour, label=label)
        left += width
    axes.barh(
        row,
        reply["budget"],
        height=0.75,
        fill=False,
        linestyle=":",
        edgecolor="grey",
        label="the budget" if is_first else None,
    )
    verdict = "right" if reply["answer"] == RIGHT_ANSWER else "wrong"
    text = f"stop: {receipt['stop']}   answer {reply['answer']} ({verdict})"
    axes.text(max(left, reply["budget"]) + 2, row, text, va="center", fontsize="small")


def ask(url: str) -> dict[str, Any]:
    """Return what the server at `url` replies at each budget, and where and when that was."""
    replies = []
    for budget in BUDGETS:
        body = {
            "messages": [{"role": "user", "content": QUESTION}],
            "temperature": 0,
            "max_thinking_tokens": budget,
        }
        answered = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)
        reply = answered.raise_for_status().json()
        (choice,) = reply["choices"]
        replies.append(
            {
                "budget": budget,
                "answer": choice["message"]["content"],
                "completion_tokens": reply["usage"]["completion_tokens"],
                "thinking": choice["thinking"],
            }
        )
    return {"question": QUESTION, "machine": describe_machine(), "replies": replies}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concept_pictures")
    parser.add_argument("--url", help="a server on the thinker, to be asked again")
    url = parser.parse_args(arguments).url
    if url:
        ANATOMY.write_text(json.dumps(ask(url), indent=1) + "\n", encoding="utf-8")
    points = read_curve(PROOF.read_text(encoding="utf-8"))
    replies = json.loads(ANATOMY.read_text(encoding="utf-8"))["replies"]
    for theme, (settings, colour) in THEMES.items():
        with rc_context(settings):
            picture = draw_budget_curve(points, colour)
        (PICTURES / f"budget-curve-{theme}.png").write_bytes(picture)
    (PICTURES / "anatomy.png").write_bytes(draw_anatomy(replies))


if __name__ == "__main__":
    main()
