"""Thoughts and answers with mistakes like those of the thinker at temperature 1.

Decides which mistakes there are and how often; whether they make a thought wrong is up to the
judge. Knows the text of a reply; nothing of tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from thinker.chain import Chain, Operation, make_random_chain
from thinker.judge import FINDS_NOTHING, LOOKS_BACK
from thinker.vocabulary import END, PAUSE, START, TURN_END

_COLOURS = ("red", "blue", "green")


@dataclass(frozen=True, slots=True)
class SlipMix:
    """Shares of the replies, of the thoughts, and of the places where a step is written."""

    # Of the replies; the rest has a thought that ends by itself.
    unthought: float = 0.07
    cut: float = 0.1
    # Of the thoughts: without any slip, and of the others how likely a slip is at each step.
    faultless: float = 0.35
    slips: tuple[float, ...] = (0.08, 0.15, 0.3)
    # Of the places after a step: "Wait," though nothing, or something, is wrong.
    waits: float = 0.015
    waits_after_slip: float = 0.08
    # Of the answers: another number than the one thought of.
    other_answer: float = 0.12


# Kinds of mistakes at a step, with their weights.
_KINDS: Sequence[tuple[str, float]] = (
    ("result", 0.34),
    ("value", 0.16),
    ("operation", 0.14),
    ("skip", 0.14),
    ("repeat", 0.07),
    ("end", 0.08),
    ("nonsense", 0.03),
    ("unreduced", 0.04),
)


@dataclass(slots=True)
class _Thought:
    """Lines written so far, and the position that their writer believes to be at."""

    chain: Chain
    rng: Random
    value: int = 0
    index: int = 0
    lines: list[str] = field(default_factory=list)
    has_slip: bool = False

    def __post_init__(self) -> None:
        self.value = self.chain.start

    @property
    def is_done(self) -> bool:
        return self.index >= len(self.chain.operations)

    def write(self, value: int, operation: Operation, result: int) -> None:
        self.lines.append(f"{value}{operation.sign}{operation.operand}={result}\n")
        self.value = result

    def step(self) -> None:
        operation = self.chain.operations[self.index]
        self.index += 1
        self.write(self.value, operation, operation.apply(self.value, self.chain.modulus))

    def slip(self, kind: str) -> None:
        """Make a mistake in place of a step; where two steps are equal it may be none."""
        self.has_slip = True
        operation, modulus = self.chain.operations[self.index], self.chain.modulus
        match kind:
            case "end":
                self.index = len(self.chain.operations)
            case "skip":
                self.index += 1
            case "repeat":
                again = self.chain.operations[max(0, self.index - 1)]
                self.write(self.value, again, again.apply(self.value, modulus))
            case "nonsense":
                self.lines.append(f"{self.rng.choice(_COLOURS)}={self.value}\n")
            case "value":
                self.value = choose_other_residue(self.rng, self.value, modulus)
                self.step()
            case "operation":
                other = _make_other_operation(self.rng, self.chain, operation)
                self.write(self.value, other, other.apply(self.value, modulus))
                self.index += 1
            case "unreduced":
                self.write(self.value, operation, operation.apply(self.value, 100))
                self.index += 1
            case _:
                right = operation.apply(self.value, modulus)
                self.write(self.value, operation, choose_other_residue(self.rng, right, modulus))
                self.index += 1

    def wait(self) -> None:
        """Look back: find nothing, repeat a step correctly, or go wrong."""
        self.lines += ["\n", f"{LOOKS_BACK}\n"] * (1 if self.rng.random() < 0.95 else 2)
        place = self.rng.random()
        if place < 0.2:
            self.lines.append(f"{FINDS_NOTHING}\n")
            return
        # The mistake is further back: a repair has to go back far enough.
        self.index = self.rng.randint(0, self.index) if place < 0.7 else max(0, self.index - 1)
        self.value = self.chain.values[self.index]
        if self.rng.random() < 0.15:
            self.value = choose_other_residue(self.rng, self.value, self.chain.modulus)


def make_flawed_reply(rng: Random, chain: Chain, mix: SlipMix) -> str:
    """Return a whole assistant turn, right or wrong, with its end token."""
    place = rng.random()
    if place < mix.unthought:
        thought, value = _make_unthought(rng), rng.choice([chain.result, chain.start])
    elif place < mix.unthought + mix.cut:
        thought, value = _cut(rng, chain)
    else:
        written = make_flawed_thought(rng, chain, mix)
        thought, value = f"{START}{''.join(written.lines)}{END}", written.value
    if rng.random() < mix.other_answer:
        value = rng.choice([chain.result, choose_other_residue(rng, chain.result, chain.modulus)])
    return f"{thought}{value}{TURN_END}"


def make_flawed_thought(rng: Random, chain: Chain, mix: SlipMix) -> _Thought:
    """Return a thought that its writer believes to be complete."""
    thought = _Thought(chain, rng)
    slips = 0.0 if rng.random() < mix.faultless else rng.choice(mix.slips)
    kinds, weights = zip(*_KINDS, strict=True)
    max_lines = 3 * len(chain.operations) + 6
    while not thought.is_done and len(thought.lines) < max_lines:
        if rng.random() < slips:
            thought.slip(rng.choices(kinds, weights)[0])
        else:
            thought.step()
        if thought.lines and rng.random() < _compute_wait_probability(thought, mix):
            thought.wait()
    if rng.random() < slips / 2:
        (extra,) = make_random_chain(rng, chain.modulus, 1).operations
        thought.write(thought.value, extra, extra.apply(thought.value, chain.modulus))
    return thought


def _compute_wait_probability(thought: _Thought, mix: SlipMix) -> float:
    """Return the probability of a look back: higher after a slip, and at the end."""
    waits = mix.waits_after_slip if thought.has_slip else mix.waits
    return waits * (3 if thought.is_done else 1)


def choose_other_residue(rng: Random, number: int, modulus: int) -> int:
    """Return another residue: any, a near one, or one with a digit in common."""
    tens, units = divmod(number, 10)
    makers: list[Callable[[], int]] = [
        lambda: rng.randrange(modulus),
        lambda: number + rng.choice((-2, -1, 1, 2)),
        lambda: 10 * rng.randrange(10) + units,
        lambda: 10 * tens + rng.randrange(10),
    ]
    makers = makers if modulus > 10 else makers[:2]
    while (other := rng.choice(makers)() % modulus) == number:
        pass
    return other


def _make_other_operation(rng: Random, chain: Chain, operation: Operation) -> Operation:
    """Return the operation with its sign or operand copied wrongly, or another one of the chain."""
    place = rng.random()
    if place < 0.35:
        sign = rng.choice([sign for sign in "+-*" if sign != operation.sign])
        return Operation(sign, operation.operand)
    if place < 0.7:
        return Operation(operation.sign, rng.randint(1, 9))
    return rng.choice(chain.operations)


def _make_unthought(rng: Random) -> str:
    pauses = rng.choice((0, 0, rng.randint(1, 32)))
    return rng.choice(("", f"{START}{PAUSE * pauses}{END}"))


def _cut(rng: Random, chain: Chain) -> tuple[str, int]:
    """Return a right thought that was ended from outside at any place, and a guess."""
    thought = _Thought(chain, rng)
    for _ in range(rng.randint(0, len(chain.operations) - 1)):
        thought.step()
    value = thought.value
    begun = f"{value}{chain.operations[thought.index].sign}{rng.randint(1, 9)}="
    rest = rng.choice(("", begun[: -1 - rng.randint(0, 1)], begun))
    guess = rng.choice((chain.result, value, rng.randrange(chain.modulus)))
    return f"{START}{''.join(thought.lines)}{rest}{END}", guess
