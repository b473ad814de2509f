"""Finds a token sequence in a stream, one token at a time, in constant time per token.

Uses the sequence's Knuth–Morris–Pratt automaton as a dense table. Tokens that do not occur
in any sequence share symbol 0, so a table has ``(len + 1) × num_symbols`` entries. Does not
know what a match means.
"""

from collections.abc import Iterable, Sequence


def number_symbols(sequences: Iterable[Sequence[int]]) -> dict[int, int]:
    """Number the distinct tokens of `sequences` from 1; 0 stands for every other token."""
    symbols: dict[int, int] = {}
    for sequence in sequences:
        for token in sequence:
            symbols.setdefault(token, len(symbols) + 1)
    return symbols


def build_transition_table(sequence: Sequence[int], symbols: dict[int, int]) -> list[list[int]]:
    """Build the automaton of a non-empty `sequence`.

    ``table[k][s]`` is the number of leading tokens matched after symbol `s` arrives with
    `k` matched; state ``len(sequence)`` is a full match and continues as its longest border.
    """
    length = len(sequence)
    pattern = [symbols[token] for token in sequence]
    num_symbols = len(symbols) + 1
    table = [[0] * num_symbols for _ in range(length + 1)]
    table[0][pattern[0]] = 1
    border = 0  # state reached by the pattern without its first token
    for state in range(1, length + 1):
        table[state] = list(table[border])
        if state < length:
            table[state][pattern[state]] = state + 1
            border = table[border][pattern[state]]
    return table
