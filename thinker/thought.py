"""What the thinker thinks: one line a step, slips, and their repair after "Wait,".

Knows the text of a thought and which of it is to be learned; nothing of tokens.
"""

from dataclasses import dataclass
from random import Random

from thinker.chain import Chain

# The server's default continuation (`min_thinking_tokens`), and the line's end after it.
WAIT = "\nWait,"
ALL_RIGHT = "right\n"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of text or one special token; `learned`: whether training has a loss on it."""

    text: str
    learned: bool = True


def step_lines(chain: Chain, begin: int = 0) -> list[Fragment]:
    """One line for each operation from the `begin`-th on, without a slip."""
    return [Fragment(_line(chain, i, value)) for i, value in enumerate(chain.values[:-1])][begin:]


def careful_thought(rng: Random, chain: Chain, looks_back: float) -> list[Fragment]:
    """A thought without a slip; in a share `looks_back` of cases it is looked through again.

    The "Wait," is not learned: it comes from whoever holds the thought open.
    """
    lines = step_lines(chain)
    if rng.random() < looks_back:
        lines += [Fragment(WAIT, learned=False), Fragment("\n"), Fragment(ALL_RIGHT)]
    return lines


def thought_with_slip(rng: Random, chain: Chain, notices_at_once: float) -> list[Fragment]:
    """A thought in which one result is wrong, noticed at once or when asked to "Wait,".

    The wrong result itself is not learned. What follows from it is: the thinker goes on
    from what is written.
    """
    slip = rng.randrange(len(chain.operations))
    true = chain.values[slip + 1]
    wrong = (true + rng.randrange(1, chain.modulus)) % chain.modulus
    lines = step_lines(chain)[:slip]
    lines += _slipped_line(chain, slip, wrong)
    at_once = rng.random() < notices_at_once
    if not at_once:
        rest = Chain(wrong, chain.operations[slip + 1 :], chain.modulus)
        lines += step_lines(rest)
    lines += [Fragment(WAIT, learned=at_once), Fragment("\n")]
    return lines + step_lines(chain, slip)


def _line(chain: Chain, index: int, value: int) -> str:
    operation = chain.operations[index]
    result = operation.apply(value, chain.modulus)
    return f"{value}{operation.sign}{operation.operand}={result}\n"


def _slipped_line(chain: Chain, index: int, wrong: int) -> list[Fragment]:
    operation = chain.operations[index]
    begin = f"{chain.values[index]}{operation.sign}{operation.operand}="
    return [Fragment(begin), Fragment(str(wrong), learned=False), Fragment("\n")]
