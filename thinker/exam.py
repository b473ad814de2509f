"""Held-out tasks as lines of a task file, for `thinking eval` on the thinker.

Decides how hard an exam is. The seeds are far from the corpus's, and there are so many chains
that none of ten steps appears twice (short ones do: of one step there are only a few hundred).
Knows nothing of the scoring.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

from thinker import boxes
from thinker.boxes import make_random_boxes
from thinker.chain import MODULI, QUESTIONS, make_random_chain

NUM_TASKS = 200
CHAIN_STEPS = (5, 12)
SHORT_STEPS = (1, 6)
_BLANKS = {"kind": "blanks", "pattern": r"holds (\d+)"}
Line = Mapping[str, object]


def make_chains(modulus: int, num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Yield chains of 5 to 12 steps; the group is the number of steps."""
    return _make_chain_lines(Random(f"exam chains {modulus}"), modulus, CHAIN_STEPS, num_tasks)


def make_short_chains(num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Yield chains of 1 to 6 steps, modulo 10: some can be answered without written steps."""
    return _make_chain_lines(Random("exam chains short"), MODULI[0], SHORT_STEPS, num_tasks)


def _make_chain_lines(
    rng: Random, modulus: int, steps: tuple[int, int], num_tasks: int
) -> Iterator[Line]:
    for i in range(num_tasks):
        chain = make_random_chain(rng, modulus, rng.randint(*steps))
        yield {
            "id": f"chain-{i}",
            "question": "".join(rng.choice(QUESTIONS)(chain)),
            "answer": chain.result,
            "group": f"{len(chain.operations):02d} steps",
        }


def make_mixed(num_tasks: int = NUM_TASKS) -> Iterator[Line]:
    """Yield texts of boxes, easy and hard in turn; each box is a blank to fill."""
    rng = Random("exam mixed")
    for i in range(num_tasks):
        contents = make_random_boxes(rng)
        yield {
            "id": f"boxes-{i}",
            "question": "".join(boxes.write_question(contents)),
            "answer": [str(box.chain.result) for box in contents],
            "scoring": _BLANKS,
            "group": f"{len(contents)} boxes",
        }


EXAMS: Mapping[str, Callable[[], Iterator[Line]]] = {
    "chains-mod10": lambda: make_chains(10),
    "chains-mod100": lambda: make_chains(100),
    "chains-short": make_short_chains,
    "mixed": make_mixed,
}


def write_exams(folder: Path) -> None:
    """Write each exam as ``<name>.jsonl``; the bytes are the same each time."""
    for name, exam in EXAMS.items():
        lines = (json.dumps(line) + "\n" for line in exam())
        (folder / f"{name}.jsonl").write_text("".join(lines))
