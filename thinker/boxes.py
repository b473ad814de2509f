"""Texts in which easy and hard positions alternate: the contents of several boxes.

The question gives the number in an easy box, and a chain of operations for a hard one. Knows
nothing of thoughts, tokens or training.
"""

from dataclasses import dataclass
from random import Random

from thinker.chain import Chain, make_random_chain

COLOURS = ("red", "blue", "green", "black", "white", "grey")
HARD_STEPS = (3, 6)
MODULUS = 10


@dataclass(frozen=True, slots=True)
class Box:
    """Box with its colour and content; easy if its chain has no operation."""

    colour: str
    chain: Chain

    @property
    def is_hard(self) -> bool:
        """True if its content has to be worked out."""
        return bool(self.chain.operations)

    @property
    def sentence(self) -> str:
        """The sentence of the answer about it, up to the number."""
        return f"The {self.colour} box holds "


def make_random_boxes(rng: Random) -> list[Box]:
    """Return two to six boxes, easy and hard in turn; which colour comes next is never in doubt."""
    colours = COLOURS[: rng.randint(2, len(COLOURS))]
    hard_first = rng.randrange(2)
    return [
        Box(colour, _make_random_content(rng, hard=(i + hard_first) % 2 == 1))
        for i, colour in enumerate(colours)
    ]


def write_question(boxes: list[Box]) -> list[str]:
    """Return the question in fragments whose borders are token borders too."""
    contents = [
        f"{',' if i else ''} {box.colour} {box.chain.symbols}" for i, box in enumerate(boxes)
    ]
    return ["Boxes:", *contents, f". What does each hold, mod {MODULUS}?"]


def _make_random_content(rng: Random, *, hard: bool) -> Chain:
    return make_random_chain(rng, MODULUS, rng.randint(*HARD_STEPS) if hard else 0)
