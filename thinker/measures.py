"""Measurements of the models for ``python -m thinker measure``.

Chooses the held-out chains; prints Markdown tables to standard output.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from random import Random

import torch

from thinker.chain import MODULI, QUESTIONS, Chain, make_random_chain
from thinker.exam import CHAIN_STEPS
from thinker.folder import IMPLICIT, SCORER, THINKER, read_folder
from thinker.implicit_corpus import IMPLICIT_THOUGHT, MAX_IMPLICIT_STEPS
from thinker.replies import generate_replies, make_prompt, predict_next_tokens
from thinker.scorer_quality import Quality, measure_quality
from thinker.vocabulary import END, PAUSE, START, TURN_END

_NUM_CHAINS = 200  # per number of steps, or per modulus
_SAMPLES = 4  # replies per chain
# Beginnings of replies that lead to an answer without written steps.
_SILENT: Mapping[str, str] = {
    "no thought": START + END,
    **{f"{n} pauses": START + PAUSE * n + END for n in (4, 16, 32)},
    "implicit": IMPLICIT_THOUGHT,
}
Question = tuple[Chain, list[str]]


def make_held_out(seed: str, modulus: int, steps: tuple[int, int], num: int) -> Iterator[Question]:
    """Yield chains with their questions in fragments; never those of a corpus."""
    rng = Random(f"measure {seed} {modulus} {steps}")
    for _ in range(num):
        chain = make_random_chain(rng, modulus, rng.randint(*steps))
        yield chain, rng.choice(QUESTIONS)(chain)


def measure_scorer() -> None:
    """Measure how well the scorer separates right and wrong replies at temperature 1."""
    torch.manual_seed(0)
    thinker, tokenizer = read_folder(THINKER)
    names = list(Quality.__dataclass_fields__)
    _print_row("modulus", *names)
    _print_row(*["---"] * (len(names) + 1))
    for modulus in MODULI:
        questions = [
            question
            for question in make_held_out("scorer", modulus, CHAIN_STEPS, _NUM_CHAINS)
            for _ in range(_SAMPLES)
        ]
        prompts = [make_prompt("".join(question), START) for _, question in questions]
        written = [START + text for text in generate_replies(thinker, tokenizer, prompts, 1.0)]
        found = measure_quality(SCORER, questions, written, _SAMPLES)
        _print_row(str(modulus), *(f"{getattr(found, name):.3f}" for name in names))


def measure_thoughts() -> None:
    """Measure the greedy accuracy of each kind of thought by number of steps, on both models."""
    lengths = range(1, MAX_IMPLICIT_STEPS + 1)
    for name, folder in (("thinker", THINKER), ("thinker-implicit", IMPLICIT)):
        model, tokenizer = read_folder(folder)
        for modulus in MODULI:
            _print_row(f"{name}, modulo {modulus}", *map(str, lengths))
            _print_row(*["---"] * (len(lengths) + 1))
            sets = [list(make_held_out("thoughts", modulus, (n, n), _NUM_CHAINS)) for n in lengths]
            for kind, begin in _SILENT.items():
                if kind == "implicit" and folder == THINKER:
                    continue
                answers = [
                    predict_next_tokens(
                        model, tokenizer, [make_prompt("".join(q), begin) for _, q in questions]
                    )
                    for questions in sets
                ]
                _print_row(kind, *map(_format_percent_right, sets, answers))
            written = [
                generate_replies(
                    model, tokenizer, [make_prompt("".join(q), START) for _, q in questions], 0.0
                )
                for questions in sets
            ]
            answers = [[text.split(END)[-1].removesuffix(TURN_END) for text in w] for w in written]
            _print_row("explicit", *map(_format_percent_right, sets, answers))


def _format_percent_right(questions: list[Question], answers: list[str]) -> str:
    right = [str(c.result) == answer for (c, _), answer in zip(questions, answers, strict=True)]
    return f"{100 * sum(right) / len(right):.0f}"


def _print_row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


MEASURES: Mapping[str, Callable[[], None]] = {
    "scorer": measure_scorer,
    "thoughts": measure_thoughts,
}
