"""Chains of arithmetic, left to right and modulo a number: the task that thoughts help with.

Every operation permutes the residues (adding, subtracting, multiplying by a unit), so without
any one step nothing is known of the result: a guess is right once in `modulus` times. Knows
nothing of tokens, thoughts or training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

MODULI = (10, 100)
MAX_STEPS = 16
UNITS = (3, 7, 9)  # multiplying by these permutes the residues, modulo 10 and 100
_APPLY: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda value, operand: value + operand,
    "-": lambda value, operand: value - operand,
    "*": lambda value, operand: value * operand,
}
_VERBS = {"+": "Add", "-": "Subtract", "*": "Multiply by"}
_WORDS = {"+": "plus", "-": "minus", "*": "times"}


@dataclass(frozen=True, slots=True)
class Operation:
    """Step of a chain: a sign of ``+-*`` and an operand from 1 to 9."""

    sign: str
    operand: int

    def apply(self, value: int, modulus: int) -> int:
        """Return the value after this step."""
        return _APPLY[self.sign](value, self.operand) % modulus


@dataclass(frozen=True, slots=True)
class Chain:
    """Start value, the operations on it, and the modulus of all of them."""

    start: int
    operations: tuple[Operation, ...]
    modulus: int

    @property
    def values(self) -> list[int]:
        """The value before each operation and after the last: ``len(operations) + 1``."""
        values = [self.start]
        for operation in self.operations:
            values.append(operation.apply(values[-1], self.modulus))
        return values

    @property
    def result(self) -> int:
        """The value after the last operation."""
        return self.values[-1]

    @property
    def symbols(self) -> str:
        """The chain as it is written in symbols, such as ``7+3*9``."""
        return str(self.start) + "".join(f"{o.sign}{o.operand}" for o in self.operations)


def make_random_chain(rng: Random, modulus: int, num_steps: int) -> Chain:
    """Return a chain of `num_steps` operations; start values and signs are equally likely."""
    operations = (_make_random_operation(rng) for _ in range(num_steps))
    return Chain(rng.randrange(modulus), tuple(operations), modulus)


def _make_random_operation(rng: Random) -> Operation:
    sign = rng.choice("+-*")
    return Operation(sign, rng.choice(UNITS) if sign == "*" else rng.randint(1, 9))


def _write_in_symbols(chain: Chain) -> list[str]:
    steps = [f"{o.sign}{o.operand}" for o in chain.operations]
    return [str(chain.start), *steps, f" mod {chain.modulus} ="]


def _write_in_sentences(chain: Chain) -> list[str]:
    steps = [f" {_VERBS[o.sign]} {o.operand}." for o in chain.operations]
    return [
        f"Start with {chain.start}.",
        *steps,
        f" Work modulo {chain.modulus}.",
        " What is the result?",
    ]


def _write_in_words(chain: Chain) -> list[str]:
    steps = [f", then {_WORDS[o.sign]} {o.operand}" for o in chain.operations]
    return [f"Take {chain.start}", *steps, f". What is it modulo {chain.modulus}?"]


# Each returns the question in fragments whose borders are token borders too.
QUESTIONS: Sequence[Callable[[Chain], list[str]]] = (
    _write_in_symbols,
    _write_in_sentences,
    _write_in_words,
)
