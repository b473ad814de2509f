"""Markdown of a model on a terminal: what it looks like, and nothing that happens.

HTML is shown as it is written, a link with its address, an image as its description; no address is
opened, fetched or made clickable. Does not know that the text is still being written.
"""

from collections.abc import Iterable
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax
from rich.text import Text

from clients.control_characters import without_control_characters

# The colours of the terminal's own palette: readable on light and dark backgrounds alike.
_CODE_THEME = "ansi_dark"


class _PlainCode(CodeBlock):
    """Code with the terminal's background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See :class:`rich.markdown.MarkdownElement`."""
        yield Syntax(
            str(self.text).rstrip(),
            self.lexer_name,
            theme=self.theme,
            word_wrap=True,
            padding=(0, 2),
            background_color="default",
        )


class _PlainHeading(Heading):
    """Heading at the left, in bold."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See :class:`rich.markdown.MarkdownElement`."""
        yield Text.assemble(self.text, style="bold")


class SafeMarkdown(Markdown):
    """Renderable Markdown of an untrusted author."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _PlainCode,
        "code_block": _PlainCode,
        "heading_open": _PlainHeading,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=_CODE_THEME, hyperlinks=False)
        self.markup = text
        self.parsed = parse_markdown(text)


def parse_markdown(text: str) -> list[Token]:
    """Return the tokens of `text`, whose content has no control characters."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
    tokens = parser.parse(without_control_characters(text))
    _clean(tokens)
    return tokens


def find_last_block(text: str) -> int:
    """Return where the last top-level block of `text` begins: those before it are complete.

    The last line is left out of account: until it ends, it may become anything.
    """
    complete = text[: text.rfind("\n") + 1]
    blocks = [
        token.map[0]
        for token in parse_markdown(complete)
        if token.level == 0 and token.nesting >= 0 and token.map is not None
    ]
    lines = complete.splitlines(keepends=True)
    return sum(map(len, lines[: blocks[-1]])) if blocks else 0


def _clean(tokens: Iterable[Token]) -> None:
    """Remove what entities (``&#27;``) have become."""
    for token in tokens:
        token.content = without_control_characters(token.content)
        _clean(token.children or ())
