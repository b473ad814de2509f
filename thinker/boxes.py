"""Texts in which easy and hard positions alternate: what each of several boxes holds.

An easy box has its number in the question, a hard one a chain of operations. Knows
nothing of thoughts, tokens or training.
"""

from dataclasses import dataclass
from random import Random

from thinker.chain import Chain, random_chain

COLOURS = ("red", "blue", "green", "black", "white", "grey")
HARD_STEPS = (3, 6)
MODULUS = 10


@dataclass(frozen=True, slots=True)
class Box:
    """A box's colour and what it holds; easy where its chain has no operation."""

    colour: str
    chain: Chain

    @property
    def is_hard(self) -> bool:
        """Whether what it holds must be worked out."""
        return bool(self.chain.operations)

    @property
    def sentence(self) -> str:
        """The answer's sentence about it, up to the number."""
        return f"The {self.colour} box holds "


def random_boxes(rng: Random) -> list[Box]:
    """Two to six boxes, easy and hard in turn; which colour comes next is never in doubt."""
    colours = COLOURS[: rng.randint(2, len(COLOURS))]
    hard_first = rng.randrange(2)
    return [
        Box(colour, _random_content(rng, hard=(i + hard_first) % 2 == 1))
        for i, colour in enumerate(colours)
    ]


def question(boxes: list[Box]) -> list[str]:
    """The question in fragments, at whose borders its tokens end too."""
    contents = [
        f"{',' if i else ''} {box.colour} {box.chain.symbols}" for i, box in enumerate(boxes)
    ]
    return ["Boxes:", *contents, f". What does each hold, mod {MODULUS}?"]


def _random_content(rng: Random, *, hard: bool) -> Chain:
    return random_chain(rng, MODULUS, rng.randint(*HARD_STEPS) if hard else 0)
