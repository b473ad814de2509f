"""Lines of the picture: every token has its cell, in order, without overlaps."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clients.mapping.layout import lay_out

TEXTS = st.lists(st.text(max_size=12), min_size=1, max_size=40)


@given(TEXTS, st.integers(4, 20))
def test_cells_follow_each_other_and_stay_in_their_line(texts: list[str], width: int) -> None:
    cells = lay_out(texts, width)
    assert len(cells) == len(texts)
    for before, cell in pairwise(cells):
        follows = cell.line == before.line and cell.column == before.column + before.width
        assert follows or (cell.line == before.line + 1 and cell.column == 0)
    for cell in cells:
        assert cell.width >= 1
        assert cell.column + cell.width <= width
        assert len(cell.text) <= cell.width
        assert cell.text.isprintable()


def test_a_line_ends_where_the_texts_does() -> None:
    cells = lay_out(["a", " b\n", "c"])
    assert [(cell.line, cell.column, cell.text) for cell in cells] == [
        (0, 0, "a"),
        (0, 1, " b⏎"),
        (1, 0, "c"),
    ]


def test_a_long_token_is_shortened() -> None:
    (cell,) = lay_out(["x" * 30], 10)
    assert cell.text == "x" * 9 + "…"
