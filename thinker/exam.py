"""Held-out tasks as lines of a task file: what `thinking eval` asks the thinker.

Decides how hard an examination is. The seeds are far from the corpus's, and the space of
chains is so large that none of ten steps is met twice (short ones are: of one step there are
few hundred). Knows nothing of how it is scored.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

from thinker import boxes
from thinker.boxes import random_boxes
from thinker.chain import MODULI, QUESTIONS, random_chain

NUM_TASKS = 200
CHAIN_STEPS = (5, 12)
SHORT_STEPS = (1, 6)
_BLANKS = {"kind": "blanks", "pattern": r"holds (\d+)"}
Line = Mapping[str, object]


def chains(modulus: int, num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Chains of 5 to 12 steps; the group is the number of steps."""
    return _chains(Random(f"exam chains {modulus}"), modulus, CHAIN_STEPS, num_tasks)


def short_chains(num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Chains of 1 to 6 steps, modulo 10: some can be answered without written steps."""
    return _chains(Random("exam chains short"), MODULI[0], SHORT_STEPS, num_tasks)


def _chains(rng: Random, modulus: int, steps: tuple[int, int], num_tasks: int) -> Iterator[Line]:
    for i in range(num_tasks):
        chain = random_chain(rng, modulus, rng.randint(*steps))
        yield {
            "id": f"chain-{i}",
            "question": "".join(rng.choice(QUESTIONS)(chain)),
            "answer": chain.result,
            "group": f"{len(chain.operations):02d} steps",
        }


def mixed(num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Texts of boxes, easy and hard in turn; each box is a blank to fill."""
    rng = Random("exam mixed")
    for i in range(num_tasks):
        contents = random_boxes(rng)
        yield {
            "id": f"boxes-{i}",
            "question": "".join(boxes.question(contents)),
            "answer": [str(box.chain.result) for box in contents],
            "scoring": _BLANKS,
            "group": f"{len(contents)} boxes",
        }


EXAMS: Mapping[str, Callable[[], Iterator[Line]]] = {
    "chains-mod10": lambda: chains(10),
    "chains-mod100": lambda: chains(100),
    "chains-short": short_chains,
    "mixed": mixed,
}


def write_exams(folder: Path) -> None:
    """Write each examination as ``<name>.jsonl``; the same bytes each time."""
    for name, exam in EXAMS.items():
        lines = (json.dumps(line) + "\n" for line in exam())
        (folder / f"{name}.jsonl").write_text("".join(lines))
