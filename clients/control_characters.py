"""Text from a model, a server or a clipboard without what a terminal would obey.

A reply may hold escape sequences that move the cursor or set the title, and marks that show text in
another order than it has. Knows no terminal.
"""

import re

# C0 and C1 control characters other than tab and line feed, and what overrides the direction of
# text (the marks that languages written from right to left need are not among it).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Halves of characters: they come from JSON escapes and from bytes that are no UTF-8, and no
# terminal, file or request can hold them.
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")


def without_control_characters(text: str) -> str:
    """Return `text` without control characters; tabs and line feeds stay."""
    return _CONTROL.sub("", _SURROGATES.sub("\ufffd", text))


def clean_paste(text: str) -> str:
    """Return text from a clipboard, with line feeds between lines and no control characters."""
    return without_control_characters(_LINE_ENDS.sub("\n", text))


def to_line(text: str) -> str:
    """Return `text` as one line without control characters."""
    return " ".join(without_control_characters(text).split())
