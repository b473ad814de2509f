"""Converts a grammar in Lark's language to EBNF, as far as both mean the same.

Converted are rules, terminals, strings, ranges, regular expressions without look-around, repeats,
aliases and the imports of ``common`` below. All else (``%ignore``, templates, flags, …) raises a
LarkError: a grammar that is enforced only in part would allow what it forbids. Does not know
whether the engine can compile the result.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from server.constraint.regex_to_ebnf import UnsupportedRegexError, convert_regex, quote_literal

START = "start"
# A prefix keeps the client's rules apart from `root`.
_PREFIX = "r_"
_COMMON = {
    "LF": '"\\n"',
    "CR": '"\\r"',
    "NEWLINE": '("\\r"? "\\n")+',
    "WS": "[ \\t\\n\\r]+",
    "WS_INLINE": "[ \\t]+",
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[0-9a-fA-F]",
    "INT": "[0-9]+",
    "SIGNED_INT": '("+" | "-")? [0-9]+',
    "DECIMAL": '[0-9]+ "." [0-9]* | "." [0-9]+',
    "LETTER": "[a-zA-Z]",
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "WORD": "[a-zA-Z]+",
    "CNAME": "[a-zA-Z_] [a-zA-Z0-9_]*",
}
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
    |(?P<string>"(?:\\.|[^"\\\n])*"i?)
    |(?P<regex>/(?:\\.|[^/\\\n])+/[a-z]*)
    |(?P<statement>%[a-z]+[^\n]*)
    |(?P<rule>[?!]*[_a-zA-Z][_a-zA-Z0-9]*(?:\.-?\d+)?[ \t]*:(?!:))
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<alias>->[ \t]*[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<range>\.\.)
    |(?P<repeat>~[ \t]*\d+(?:[ \t]*\.\.[ \t]*\d+)?)
    |(?P<mark>[|()\[\]?*+])
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE,
)
_IMPORT = re.compile(r"%import[ \t]+common(?:\.(\w+)[ \t]*|[ \t]*\(([\w, \t]+)\)[ \t]*)(?://.*)?$")
_STATEMENT_END = re.compile(r"[ \t]*(?://.*)?$")
Token = tuple[str, str]


class LarkError(ValueError):
    """The grammar cannot be converted; the message does not quote it."""


def to_ebnf(definition: str) -> str:
    """Return an EBNF grammar whose rule `root` matches what `start` matches.

    Raises:
        LarkError: it has a part that cannot be converted, or is no Lark grammar.
    """
    rules: dict[str, list[str]] = {}
    body: list[str] = []
    tokens = list(_read_tokens(definition))
    for place, (kind, text) in enumerate(tokens):
        match kind:
            case "rule":
                body = rules.setdefault(_get_rule_name(text), [])
                if body:
                    _fail("defines a rule twice")
            case "statement":
                for name in _get_imported_names(text):
                    rules[name] = [_COMMON[name]]
                body = []
            case _ if not rules:
                _fail("has text before its first rule")
            case _:
                body += _convert(tokens, place)
    if START not in rules:
        _fail(f"has no rule {START!r}")
    _check_names(rules, tokens)
    lines = [f"root ::= {_PREFIX}{START}"]
    lines += [f"{_PREFIX}{name} ::= {_join(body)}" for name, body in rules.items()]
    return "\n".join(lines)


def _read_tokens(definition: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(definition):
        kind = str(found.lastgroup)
        if kind == "other":
            _fail("has a part that is not supported")
        if kind not in ("comment", "space", "alias"):
            yield kind, found[0]


def _convert(tokens: list[Token], place: int) -> list[str]:
    """Return the EBNF of the token at `place`."""
    kind, text = tokens[place]
    before = tokens[place - 1][0] if place else ""
    after = tokens[place + 1][0] if place + 1 < len(tokens) else ""
    match kind:
        case "string" if after == "range":
            return [f"[{_get_end_of_range(text)}-"]
        case "string" if before == "range":
            return [f"{_get_end_of_range(text)}]"]
        case "range":
            if before != "string" or after != "string":
                _fail("has a range whose ends are not texts")
            return []
        case "string":
            return [quote_literal(_unescape(text))]
        case "regex":
            return [_convert_regex(text)]
        case "name":
            return [_PREFIX + text]
        case "repeat":
            return ["{" + ",".join(re.findall(r"\d+", text)) + "}"]
        case _:
            return [{"[": "(", "]": ")?"}.get(text, text)]


def _join(body: list[str]) -> str:
    """Return a rule's body; a repeat stands at what it repeats, and no alternative is empty."""
    text = ""
    for piece, following in zip(body, [*body[1:], "|"], strict=True):
        is_glued = (
            piece in ("?", "*", "+", ")", ")?") or piece[0] == "{" or text.endswith(("-", "("))
        )
        text += piece if is_glued or not text else f" {piece}"
        if piece in ("|", "(") and following in ("|", ")", ")?"):
            text += ' ""'
    return text if body and body[0] != "|" else f'"" {text}'.strip()


def _get_rule_name(text: str) -> str:
    return re.split(r"[.:]", text.lstrip("?!"))[0].strip()


def _get_imported_names(statement: str) -> list[str]:
    found = _IMPORT.match(statement)
    if found is None:
        _fail("has a statement other than an import of 'common'")
    names = [name.strip() for name in (found[1] or found[2]).split(",")]
    if not set(names) <= _COMMON.keys():
        _fail("imports a terminal that is not supported")
    return names


def _check_names(rules: dict[str, list[str]], tokens: list[Token]) -> None:
    if any(kind == "name" and text not in rules for kind, text in tokens):
        _fail("names a rule that it does not define")


def _get_end_of_range(text: str) -> str:
    character = _unescape(text)
    if len(character) != 1:
        _fail("has a range whose ends are not single characters")
    return f"\\{character}" if character in "\\]-^[" else character


def _unescape(text: str) -> str:
    """Return the characters of a string token."""
    if text.endswith("i"):
        _fail("has a text that ignores case")
    plain = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}

    def get_character(found: re.Match[str]) -> str:
        escaped = found[1]
        if escaped[0] in "xuU" and len(escaped) > 1:
            return chr(int(escaped[1:], 16))
        if escaped.isalnum() and escaped not in plain:
            _fail("has an escape that is not supported")
        return plain.get(escaped, escaped)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", get_character, text[1:-1])


def _convert_regex(text: str) -> str:
    pattern, _, flags = text[1:].rpartition("/")
    try:
        return convert_regex(pattern, dot_matches_all=_read_flags(flags))
    except UnsupportedRegexError as error:
        raise LarkError(str(error)) from None


def _read_flags(flags: str) -> bool:
    if flags not in ("", "s"):
        _fail("has a regular expression with flags")
    return flags == "s"


def _fail(problem: str) -> NoReturn:
    raise LarkError(f"the grammar {problem}")
