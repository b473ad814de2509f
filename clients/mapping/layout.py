"""Layout of a text's tokens in lines of a fixed width, one cell per token.

Widths are characters of a monospaced font. Draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LINE_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell of a token: line and column of its first character, its text and its width."""

    line: int
    column: int
    text: str
    width: int


def lay_out(texts: Sequence[str], line_width: int = LINE_WIDTH) -> list[Cell]:
    """Return a cell for each of `texts`, left to right; a token with a line break ends its line.

    A token longer than a line is shortened with an ellipsis.
    """
    cells: list[Cell] = []
    line = column = 0
    for text in texts:
        shown = _shorten(_make_printable(text), line_width)
        width = max(1, len(shown))
        if column + width > line_width:
            line, column = line + 1, 0
        cells.append(Cell(line, column, shown, width))
        column += width
        if "\n" in text:
            line, column = line + 1, 0
    return cells


def _make_printable(text: str) -> str:
    """Return the text with its control characters made visible."""
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    return "".join(char if char.isprintable() else "·" for char in text)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
