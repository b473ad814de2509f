"""Chains of arithmetic that are in no task file: drawn anew from a seed.

Written like those of the exams (left to right, modulo 100, 5 to 12 steps, three phrasings), so
that a model which does the exams understands them. Knows neither models nor servers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

MODULUS = 100
NUM_STEPS = (5, 12)
UNITS = (3, 7, 9)  # multiplying by these permutes the residues
VERBS = {"+": "Add", "-": "Subtract", "*": "Multiply by"}
WORDS = {"+": "plus", "-": "minus", "*": "times"}
Step = tuple[str, int]


@dataclass(frozen=True, slots=True)
class FreshChain:
    """Question with its right answer."""

    id: str
    question: str
    answer: str


def draw_chains(seed: int, num: int) -> list[FreshChain]:
    """Return `num` chains; the same seed gives the same ones."""
    return list(_draw(Random(f"fresh chains {seed}"), seed, num))


def _draw(rng: Random, seed: int, num: int) -> Iterator[FreshChain]:
    for place in range(num):
        start = value = rng.randrange(MODULUS)
        steps = [_draw_step(rng) for _ in range(rng.randint(*NUM_STEPS))]
        for sign, operand in steps:
            value = _apply(value, sign, operand)
        question = rng.choice((_in_symbols, _in_sentences, _in_words))(start, steps)
        yield FreshChain(f"fresh-{seed}-{place}", question, str(value))


def _draw_step(rng: Random) -> Step:
    sign = rng.choice("+-*")
    return sign, rng.choice(UNITS) if sign == "*" else rng.randint(1, 9)


def _apply(value: int, sign: str, operand: int) -> int:
    if sign == "*":
        return value * operand % MODULUS
    return (value + (operand if sign == "+" else -operand)) % MODULUS


def _in_symbols(start: int, steps: list[Step]) -> str:
    return f"{start}{''.join(f'{sign}{operand}' for sign, operand in steps)} mod {MODULUS} ="


def _in_sentences(start: int, steps: list[Step]) -> str:
    told = "".join(f" {VERBS[sign]} {operand}." for sign, operand in steps)
    return f"Start with {start}.{told} Work modulo {MODULUS}. What is the result?"


def _in_words(start: int, steps: list[Step]) -> str:
    told = "".join(f", then {WORDS[sign]} {operand}" for sign, operand in steps)
    return f"Take {start}{told}. What is it modulo {MODULUS}?"
