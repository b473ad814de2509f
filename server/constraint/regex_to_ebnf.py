"""Converts a regular expression to an EBNF expression, as far as both mean the same.

Not converted are anchors, look-around, references, named groups, flags and lazy or possessive
repeats. Does not check that the expression is well formed: whoever compiles the result does.
"""

import re

_CLASSES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\r"}
_CONTROLS = {"n": "\\n", "t": "\\t", "r": "\\r"}
_TOKEN = re.compile(
    r"""(?P<class>\[\^?(?:\\.|[^\\\]])+\])
    |(?P<escape>\\.)
    |(?P<group>\((?:\?:)?(?!\?))
    |(?P<repeat>(?:[?*+]|\{\d+(?:,\d*)?\})(?![?+]))
    |(?P<mark>[)|.])
    |(?P<text>[^\\\[\](){}|.?*+^$])""",
    re.VERBOSE | re.DOTALL,
)


class UnsupportedRegexError(ValueError):
    """The expression has a part that EBNF cannot express; the message does not quote it."""


def convert_regex(pattern: str, *, dot_matches_all: bool = False) -> str:
    """Return an EBNF expression, in parentheses, that matches what `pattern` matches.

    Raises:
        UnsupportedRegexError: a part of it cannot be converted.
    """
    pieces = []
    place = 0
    while place < len(pattern):
        found = _TOKEN.match(pattern, place)
        if found is None:
            raise UnsupportedRegexError("a regular expression has a part that is not supported")
        pieces.append(_convert(str(found.lastgroup), found[0], dot_matches_all))
        place = found.end()
    return f"({_join(pieces)})"


def quote_literal(text: str) -> str:
    """Return `text` as a quoted EBNF literal."""
    return '"' + "".join(map(_escape_character, text)) + '"'


def _escape_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def _convert(kind: str, text: str, dot_matches_all: bool) -> str:
    match kind:
        case "class":
            return re.sub(r"\\(.)", lambda found: _convert_in_class(found[1]), text)
        case "escape":
            return _convert_escape(text[1])
        case "group":
            return "("
        case "mark" if text == ".":
            return '([^\\n] | "\\n")' if dot_matches_all else "[^\\n]"
        case "text":
            return quote_literal(text)
        case _:
            return text


def _convert_escape(character: str) -> str:
    if character in _CLASSES:
        return f"[{_CLASSES[character]}]"
    if character.lower() in _CLASSES:
        return f"[^{_CLASSES[character.lower()]}]"
    if character in _CONTROLS:
        return f'"{_CONTROLS[character]}"'
    if character.isalnum():
        raise UnsupportedRegexError("a regular expression has an escape that is not supported")
    return quote_literal(character)


def _convert_in_class(character: str) -> str:
    if character in _CLASSES:
        return _CLASSES[character]
    if character in _CONTROLS:
        return _CONTROLS[character]
    if character.isalnum():
        raise UnsupportedRegexError("a regular expression has an escape that is not supported")
    return f"\\{character}"


def _join(pieces: list[str]) -> str:
    """Return the pieces with spaces between them; an empty alternative is an empty text."""
    text = ""
    for piece, following in zip(pieces or ['""'], [*pieces[1:], "|"], strict=True):
        is_repeat = piece in ("?", "*", "+") or piece.startswith("{")
        text += piece if is_repeat or not text else f" {piece}"
        if piece in ("|", "(") and following in ("|", ")"):
            text += ' ""'
    return text if pieces[:1] != ["|"] else f'"" {text}'
