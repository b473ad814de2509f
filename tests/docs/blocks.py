"""The blocks of code of the documentation, as the tests of this folder see them.

Knows how a page is written, and how a shell reads a command; not which commands there are.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house.sources import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:(?<=\s)|^)#.*$", re.MULTILINE)
_PUNCTUATION = set("();|&\n<>")
_SEPARATORS = _PUNCTUATION - {"<", ">"}
_WRAPPERS = {"do", "then", "else", "until", "!", "exec", "time"}
# What a shell itself does, and words of its grammar.
_BUILTINS = {"cd", "export", "for", "done", "in", "if", "fi", "while", "printf", "echo"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ELISION = re.compile(r",?\s*…(?=\s*[}\]])")


@dataclass(frozen=True, slots=True)
class Block:
    """Fenced block: the page's path from the root, the line of its fence, language and text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        yield Block(page.relative_to(ROOT).as_posix(), line, match[2], match[3])


BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def select_blocks(*languages: str) -> list[Block]:
    """Return all blocks in these languages."""
    return [block for block in BLOCKS if block.language in languages]


def read_json(text: str) -> object:
    """Return the value of a JSON block: a document, the inside of an object, or one a line.

    An ``…`` before a closing bracket stands for further members.

    Raises:
        ValueError: it is none of these.
    """
    text = _ELISION.sub("", text)
    for attempt in (text, f"{{{text}}}"):
        try:
            return json.loads(attempt)
        except ValueError:
            continue
    return [json.loads(line) for line in text.splitlines()]


def split_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each program that a script starts, without what the shell does itself.

    Comments, assignments, redirections and the grammar of loops are left out, and so is what is
    started inside of quotes or of ``$(…)``.
    """
    # One command may stand on several lines.
    script = _COMMENT.sub("", script.replace("\\\n", " "))
    lexer = shlex.shlex(script, posix=True, punctuation_chars="".join(_PUNCTUATION))
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    command: list[str] = []
    for word in [*lexer, "\n"]:
        is_punctuation = set(word) <= _PUNCTUATION
        if is_punctuation and set(word) & _SEPARATORS:
            yield from _clean(command)
            command = []
        else:
            command.append(word)


def _clean(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the command of these words, if they start a program."""
    command: list[str] = []
    is_target = False  # of a redirection
    for word in words:
        if is_target:
            is_target = False
        elif set(word) <= _PUNCTUATION:
            is_target = True
        elif command or not (word in _WRAPPERS or _ASSIGNMENT.match(word)):
            command.append(word)
    if command and command[0] not in _BUILTINS:
        yield command
