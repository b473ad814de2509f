"""Thoughts of the thinker: one line per step, slips, and their repair after "Wait,".

Knows the text of a thought and which parts are learned; nothing of tokens.
"""

from dataclasses import dataclass
from random import Random

from thinker.chain import Chain

# The server's default continuation (`min_thinking_tokens`), and the line's end after it.
WAIT = "\nWait,"
ALL_RIGHT = "right\n"


@dataclass(frozen=True, slots=True)
class Fragment:
    """Piece of text or one special token; `learned`: training has a loss on it."""

    text: str
    learned: bool = True


def make_step_lines(chain: Chain, begin: int = 0) -> list[Fragment]:
    """Return one line for each operation from the `begin`-th on, without a slip."""
    return [Fragment(_format_line(chain, i, value)) for i, value in enumerate(chain.values[:-1])][
        begin:
    ]


def make_careful_thought(rng: Random, chain: Chain, looks_back: float) -> list[Fragment]:
    """Return a thought without a slip; in a share `looks_back` of cases it is checked again.

    The "Wait," is not learned: it comes from outside, to hold the thought open.
    """
    lines = make_step_lines(chain)
    if rng.random() < looks_back:
        lines += [Fragment(WAIT, learned=False), Fragment("\n"), Fragment(ALL_RIGHT)]
    return lines


def make_thought_with_slip(rng: Random, chain: Chain, notices_at_once: float) -> list[Fragment]:
    """Return a thought with one wrong result, noticed at once or after a "Wait," from outside.

    The wrong result itself is not learned. What follows from it is: the thinker continues
    from what is written.
    """
    slip = rng.randrange(len(chain.operations))
    true = chain.values[slip + 1]
    wrong = (true + rng.randrange(1, chain.modulus)) % chain.modulus
    lines = make_step_lines(chain)[:slip]
    lines += _make_slipped_line(chain, slip, wrong)
    at_once = rng.random() < notices_at_once
    if not at_once:
        rest = Chain(wrong, chain.operations[slip + 1 :], chain.modulus)
        lines += make_step_lines(rest)
    lines += [Fragment(WAIT, learned=at_once), Fragment("\n")]
    return lines + make_step_lines(chain, slip)


def _format_line(chain: Chain, index: int, value: int) -> str:
    operation = chain.operations[index]
    result = operation.apply(value, chain.modulus)
    return f"{value}{operation.sign}{operation.operand}={result}\n"


def _make_slipped_line(chain: Chain, index: int, wrong: int) -> list[Fragment]:
    operation = chain.operations[index]
    begin = f"{chain.values[index]}{operation.sign}{operation.operand}="
    return [Fragment(begin), Fragment(str(wrong), learned=False), Fragment("\n")]
