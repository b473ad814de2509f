"""Laying a text's tokens out in lines of a fixed width, one cell a token.

Widths are characters of a monospaced font. Draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LINE_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a token stands: line and column of its first character, its text, its width."""

    line: int
    column: int
    text: str
    width: int


def lay_out(texts: Sequence[str], line_width: int = LINE_WIDTH) -> list[Cell]:
    """A cell for each of `texts`, left to right; a line ends after a token with a line break.

    A token longer than a line is shortened with an ellipsis.
    """
    cells: list[Cell] = []
    line = column = 0
    for text in texts:
        shown = _shortened(_printable(text), line_width)
        width = max(1, len(shown))
        if column + width > line_width:
            line, column = line + 1, 0
        cells.append(Cell(line, column, shown, width))
        column += width
        if "\n" in text:
            line, column = line + 1, 0
    return cells


def _printable(text: str) -> str:
    """The text with its control characters made visible."""
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    return "".join(char if char.isprintable() else "·" for char in text)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
