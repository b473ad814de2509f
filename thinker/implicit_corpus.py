"""Pairs for the distillation: a chain answered after a silent thought, and after a written one.

Decides which token of the teacher's thought each layer of the student should resemble. Knows
texts and token ids; nothing of models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil
from random import Random

import torch
from torch import Tensor

from thinker.batches import IGNORED, TextTokens, pad_rows
from thinker.chain import MODULI, QUESTIONS, Chain, make_random_chain
from thinker.thought import make_step_lines
from thinker.vocabulary import ASSISTANT, END, START, TURN_END, USER

IMPLICIT = "<|implicit|>"
IMPLICIT_THOUGHT = f"{START}{IMPLICIT}{END}"
MAX_IMPLICIT_STEPS = 8
# Relative frequency of 1, 2, … steps: two steps are only learned after one.
_WEIGHTS = (12, 8, 4, 2, 1, 1, 1, 1)
_SMALLER_MODULUS = 0.7  # share of the chains
_LINE_END = 2  # tokens from a line's end back to its result


@dataclass(frozen=True, slots=True)
class Pair:
    """Chain that is answered twice.

    `place` is the student's token before the answer; `teacher_places` are those of the teacher's
    result tokens, one per layer, along the paper's diagonal.
    """

    student_ids: list[int]
    answer_begin: int
    teacher_ids: list[int]
    teacher_places: list[int]

    @property
    def place(self) -> int:
        """Position of the student's end marker, after which the answer comes."""
        return self.answer_begin - 1


def compute_diagonal(num_steps: int, num_layers: int) -> list[int]:
    """Return the step (from 0) whose result each layer should hold; the last layer has the last."""
    return [ceil(layer * num_steps / num_layers) - 1 for layer in range(1, num_layers + 1)]


class PairTokens(TextTokens):
    """Encoder of chains as pairs."""

    def make_pair(self, question: list[str], chain: Chain, num_layers: int) -> Pair:
        """Return the student's silent dialogue, and the teacher's up to its last step."""
        prompt = [i for text in (USER, *question, TURN_END, ASSISTANT) for i in self.ids_of(text)]
        silent = [*prompt, *self.ids_of(IMPLICIT_THOUGHT)]
        answer = [*self.ids_of(str(chain.result)), *self.ids_of(TURN_END)]
        written = [*prompt, *self.ids_of(START)]
        results = []
        for line in make_step_lines(chain):
            written += self.ids_of(line.text)
            results.append(len(written) - _LINE_END)
        places = [results[step] for step in compute_diagonal(len(results), num_layers)]
        return Pair(silent + answer, len(silent), written, places)

    def make_pairs(self, seed: int, num_layers: int) -> Iterator[Pair]:
        """Yield pairs endlessly, mostly of short chains and modulo the smaller number."""
        rng = Random(f"implicit {seed}")
        while True:
            (num_steps,) = rng.choices(range(1, MAX_IMPLICIT_STEPS + 1), _WEIGHTS)
            modulus = MODULI[rng.random() >= _SMALLER_MODULUS]
            chain = make_random_chain(rng, modulus, num_steps)
            yield self.make_pair(rng.choice(QUESTIONS)(chain), chain, num_layers)


def make_pair_batches(
    stream: Iterator[Pair], num_pairs: int, pad_id: int
) -> Iterator[tuple[Tensor, ...]]:
    """Yield the student's ids and labels ``[pairs, length]`` and its places ``[pairs]``, then the
    teacher's ids ``[pairs, length]`` and places ``[pairs, layers]``; all int64.
    """
    while True:
        pairs = list(islice(stream, num_pairs))
        yield (
            pad_rows((pair.student_ids for pair in pairs), pad_id),
            pad_rows((_make_labels(pair) for pair in pairs), IGNORED),
            torch.tensor([pair.place for pair in pairs]),
            pad_rows((pair.teacher_ids for pair in pairs), pad_id),
            torch.tensor([pair.teacher_places for pair in pairs]),
        )


def _make_labels(pair: Pair) -> list[int]:
    return [IGNORED] * pair.answer_begin + pair.student_ids[pair.answer_begin :]
