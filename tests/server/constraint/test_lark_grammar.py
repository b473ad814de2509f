"""A Lark grammar and its EBNF match the same texts, or the grammar is not converted."""

import pytest
import xgrammar
from lark import Lark, UnexpectedInput
from lark.exceptions import LarkError as InvalidLarkError

from server.constraint.lark_grammar import LarkError, to_ebnf

# As Codex sends it with its tool apply_patch.
PATCH = r"""start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
"""
EDIT = (
    '*** Begin Patch\n*** Update File: a.py\n@@ def f\n-x = "1"\n+y = \\n\n'
    "*** Add File: b/ä.txt\n+hi\n*** End Patch\n"
)
TEXTS = [
    *("", "a", "b", "z", "ab", "aab", "abab", "aaa", "A", "k1", "k12", "x.", '"', "\\", "]", "-"),
    *("a b", "a\nb", "\n", "é", "yes", "no", "a/b", "(a)", "7", "007", "ab ab", "{a}", "a|b", "+"),
]
# Grammars that mean the same however a text is cut into terminals.
CONVERTED = [
    'start: "yes" | "no"',
    'start: A+\nA: "a" | "b"',
    'start: "a" b?\nb: "b"',
    'start: "a"~2..3',
    'start: "a" ~ 3',
    'start: ["a"] ("b" | "ab")',
    'start: "a".."z"',
    'start.2: K // a comment\n  | "b"\nK.3: "a" "b"',
    "start: /[a-z]+/",
    "start: /a|b/",
    r"start: /k\d{1,2}/",
    r"start: /[\]\-\\]/",
    r'start: "\"" | "\\" | "\n"',
    "start: /a.b/s",
    "start: /a.b/",
    r"start: /\w+ \w+/",
    r"start: /a\/b|\(a\)|\{a\}|a\|b|\+/",
    r"start: /[^a-z\n]/",
    r"start: /(?:ab)+/",
    "%import common.INT\nstart: INT",
    "%import common (LETTER, DIGIT)\nstart: LETTER DIGIT+",
    '?start: _x\n_x: "é" | "\\u00e9" "a"',
    'start: "a" -> first\n  | "b" -> second',
]
REFUSED = [
    "",
    "start: a",
    'x: "a"',
    '"a"',
    'start: "a"i',
    "start: /a/i",
    "start: /(?=a)a/",
    "start: /a+?/",
    "start: /^a$/",
    r"start: /\ba/",
    r"start: /(a)\1/",
    r"start: /\p{L}/",
    'start: "a" "b"\n%ignore " "',
    "%import python.NAME\nstart: NAME",
    "%import common.ESCAPED_STRING\nstart: ESCAPED_STRING",
    'start: x{"a"}\nx{y}: y',
    'start: "ab".."z"',
    'start: "a"\nstart: "b"',
    'start: "a" §',
]


def find_matches(definition: str) -> list[str]:
    grammar = to_ebnf(definition)
    return [text for text in TEXTS if is_match(grammar, text)]


def is_match(ebnf: str, text: str) -> bool:
    """Return whether xgrammar, which the engine uses, takes `text` as a whole."""
    vocabulary = [*(bytes([byte]) for byte in range(256)), b"<end>"]
    tokens = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(tokens, max_threads=1).compile_grammar(ebnf)
    matcher = xgrammar.GrammarMatcher(compiled)
    accepts = all(matcher.accept_token(byte) for byte in text.encode())
    return accepts and matcher.accept_token(256)


def find_larks_matches(definition: str) -> list[str]:
    parser = Lark(definition, parser="earley", lexer="dynamic_complete")
    return [text for text in TEXTS if is_parsed(parser, text)]


def is_parsed(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except UnexpectedInput:
        return False
    return True


@pytest.mark.parametrize("definition", CONVERTED)
def test_ebnf_matches_what_lark_matches(definition: str) -> None:
    found = find_matches(definition)
    assert found
    assert found == find_larks_matches(definition)


@pytest.mark.parametrize("definition", REFUSED)
def test_what_cannot_be_converted_is_an_error(definition: str) -> None:
    with pytest.raises(LarkError):
        to_ebnf(definition)


def test_the_grammar_of_codex_is_converted() -> None:
    ebnf = to_ebnf(PATCH)
    assert is_match(ebnf, EDIT)
    assert is_match(ebnf, EDIT[:-1])
    for wrong in (EDIT.replace("***", "**"), EDIT[1:], EDIT + "a", EDIT.replace("@@", "@")):
        assert not is_match(ebnf, wrong)


@pytest.mark.parametrize("definition", ['start: "a".."', "start: (", "start: +", 'start: "a" ~'])
def test_what_is_no_lark_is_no_ebnf_either(definition: str) -> None:
    with pytest.raises(InvalidLarkError):
        Lark(definition)
    with pytest.raises((LarkError, RuntimeError)):
        is_match(to_ebnf(definition), "a")
