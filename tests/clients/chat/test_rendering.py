"""The renderings of text that a model or a clipboard has written, without a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from clients.chat.plain_view import PlainView
from clients.chat.progress_bar import make_progress_bar
from clients.chat.safe_markdown import SafeMarkdown, find_last_block
from clients.chat.turn import Progress
from clients.control_characters import clean_paste, to_line, without_control_characters

CONTROLS = "".join(map(chr, [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]))


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def render(text: str, width: int = 60) -> str:
    """Return what a terminal is sent of `text`, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    console.print(SafeMarkdown(text))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_sees_no_control_character_of_a_reply() -> None:
    file = FakeTerminal()
    view = PlainView(file, file)
    view.show_text("a\x1b]0;owned\x07b\x9b2J\tc\n", is_thought=False)
    assert file.getvalue() == "a]0;ownedb2J\tc\n"


def test_a_file_gets_the_text_unchanged() -> None:
    file = io.StringIO()
    view = PlainView(file, file)
    view.show_text("a\x1b]0;owned\x07", is_thought=False)
    assert file.getvalue() == "a\x1b]0;owned\x07"


@given(st.text(st.sampled_from(CONTROLS + "\u202e\u2066ab\n#`*_[]()<>&;|-1. "), max_size=60))
def test_markdown_never_writes_a_control_character(text: str) -> None:
    assert not set(render(text)) & set(CONTROLS + "\u202e\u2066")


@pytest.mark.parametrize("entity", ["&#27;", "&#x1b;", "&#155;", "&#7;", "&#13;", "&#8238;"])
def test_an_entity_does_not_become_a_control_character(entity: str) -> None:
    assert not set(render(f"a{entity}[2Jb `{entity}` [x](y{entity})")) & set(CONTROLS + "\u202e")


@pytest.mark.parametrize(
    "html",
    ["<script>alert(1)</script>", "<b>x</b>", "a <img src=x> b", "<!-- c -->", "<kbd>y</kbd>"],
)
def test_html_is_shown_as_it_is_written(html: str) -> None:
    assert html in render(html)


def test_a_link_shows_its_address_and_cannot_be_clicked() -> None:
    text = render("[bank](http://evil.example/) ![alt](http://evil.example/x.png)")
    assert "bank (http://evil.example/)" in text
    assert "\x1b]8" not in text


BLOCKS = [
    "# Title\n",
    "A paragraph\nof two lines.\n",
    "```\ncode\n\n# no title\n```\n",
    "> quote\n",
]


@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6))
def test_blocks_are_complete_once_the_next_one_has_begun(blocks: list[str]) -> None:
    """Piece by piece, what is printed and what is left are the text."""
    text = "\n".join(blocks)
    printed, rest = "", ""
    for character in text:
        rest += character
        begin = find_last_block(rest)
        printed, rest = printed + rest[:begin], rest[begin:]
        assert printed == "" or printed.endswith("\n")
        assert printed.count("```") % 2 == 0
    assert printed + rest == text
    assert rest == blocks[-1]


@pytest.mark.parametrize("width", [10, 20, 30, 50, 200])
def test_the_bar_never_needs_a_second_line(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    bar = make_progress_bar(Progress(31, 64, 1.24), width)
    assert len(console.render_lines(bar)) == 1
    if width >= 30:
        assert "thinking " in bar.plain
        assert "31/64 · 1.2 s" in bar.plain


def test_the_bar_fills_with_the_budget() -> None:
    filled = [make_progress_bar(Progress(used, 64, 0), 80).plain.count("━") for used in (0, 32, 64)]
    assert filled == [0, 15, 30]


def test_pasted_text_keeps_its_lines_and_nothing_else_that_controls() -> None:
    assert clean_paste("a\r\nb\rc\u2028d\x00\x1b[2J\udcff") == "a\nb\nc\nd[2J\ufffd"


@given(st.text())
def test_what_is_said_of_an_error_is_one_line(text: str) -> None:
    assert len(to_line(text).splitlines()) <= 1
    assert without_control_characters(to_line(text)) == to_line(text)
