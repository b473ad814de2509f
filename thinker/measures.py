"""What is measured of the models by ``python -m thinker measure``.

Decides on which held-out chains; prints Markdown tables on standard output.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from random import Random

import torch

from thinker.chain import MODULI, QUESTIONS, Chain, random_chain
from thinker.exam import CHAIN_STEPS
from thinker.folder import IMPLICIT, SCORER, THINKER, read_folder
from thinker.implicit_corpus import IMPLICIT_THOUGHT, MAX_IMPLICIT_STEPS
from thinker.replies import asked, next_tokens, replies
from thinker.scorer_quality import Quality, quality
from thinker.vocabulary import END, PAUSE, START, TURN_END

_NUM_CHAINS = 200  # a number of steps, or a modulus
_SAMPLES = 4  # replies a chain
# How the reply begins that asks for an answer without written steps.
_SILENT: Mapping[str, str] = {
    "no thought": START + END,
    **{f"{n} pauses": START + PAUSE * n + END for n in (4, 16, 32)},
    "implicit": IMPLICIT_THOUGHT,
}
Question = tuple[Chain, list[str]]


def held_out(seed: str, modulus: int, steps: tuple[int, int], num: int) -> Iterator[Question]:
    """Chains with their questions in fragments; never those of a corpus."""
    rng = Random(f"measure {seed} {modulus} {steps}")
    for _ in range(num):
        chain = random_chain(rng, modulus, rng.randint(*steps))
        yield chain, rng.choice(QUESTIONS)(chain)


def measure_scorer() -> None:
    """How well the scorer tells the thinker's right replies at temperature 1 from wrong ones."""
    torch.manual_seed(0)
    thinker, tokenizer = read_folder(THINKER)
    names = list(Quality.__dataclass_fields__)
    _row("modulus", *names)
    _row(*["---"] * (len(names) + 1))
    for modulus in MODULI:
        asks = [
            question
            for question in held_out("scorer", modulus, CHAIN_STEPS, _NUM_CHAINS)
            for _ in range(_SAMPLES)
        ]
        prompts = [asked("".join(question), START) for _, question in asks]
        written = [START + text for text in replies(thinker, tokenizer, prompts, 1.0)]
        found = quality(SCORER, asks, written, _SAMPLES)
        _row(str(modulus), *(f"{getattr(found, name):.3f}" for name in names))


def measure_thoughts() -> None:
    """Greedy accuracy of each kind of thought by the number of steps, on both models."""
    lengths = range(1, MAX_IMPLICIT_STEPS + 1)
    for name, folder in (("thinker", THINKER), ("thinker-implicit", IMPLICIT)):
        model, tokenizer = read_folder(folder)
        for modulus in MODULI:
            _row(f"{name}, modulo {modulus}", *map(str, lengths))
            _row(*["---"] * (len(lengths) + 1))
            sets = [list(held_out("thoughts", modulus, (n, n), _NUM_CHAINS)) for n in lengths]
            for kind, begin in _SILENT.items():
                if kind == "implicit" and folder == THINKER:
                    continue
                answers = [
                    next_tokens(model, tokenizer, [asked("".join(q), begin) for _, q in asks])
                    for asks in sets
                ]
                _row(kind, *map(_percent_right, sets, answers))
            written = [
                replies(model, tokenizer, [asked("".join(q), START) for _, q in asks], 0.0)
                for asks in sets
            ]
            answers = [[text.split(END)[-1].removesuffix(TURN_END) for text in w] for w in written]
            _row("explicit", *map(_percent_right, sets, answers))


def _percent_right(asks: list[Question], answers: list[str]) -> str:
    right = [str(c.result) == answer for (c, _), answer in zip(asks, answers, strict=True)]
    return f"{100 * sum(right) / len(right):.0f}"


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


MEASURES: Mapping[str, Callable[[], None]] = {
    "scorer": measure_scorer,
    "thoughts": measure_thoughts,
}
