"""Diversity of training examples, in figures that warn before a model collapses.

A model that is trained on its own text first loses what it rarely says. Pure functions of
texts; knows no file.
"""

import re
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from clients.traces.examples import Example

_WORD = re.compile(r"\w+|[^\w\s]")
# distinct-n falls as a corpus grows, so only this many of its first words count.
MAX_WORDS = 100_000


class Diversity(BaseModel):
    """Figures of one export; shares are from 0 to 1.

    `distinct`: distinct n-grams of the completions divided by all of them, for n = 1, 2, 3.
    `repeated`: good and bad choices that repeat another choice's text for the same prompt.
    `model_written`: characters that a model wrote (completions and earlier assistant turns)
    divided by all characters of the examples.
    """

    examples: int
    prompts: int
    distinct: dict[int, float]
    repeated: float
    model_written: float


class Thresholds(BaseModel):
    """Limits beyond which there is a warning."""

    min_prompts: int = 100
    min_distinct: dict[int, float] = {1: 0.01, 2: 0.1, 3: 0.2}
    max_repeated: float = 0.5
    max_model_written: float = 0.9


def measure_diversity(examples: Sequence[Example], repeated: float) -> Diversity:
    """Return the figures; `repeated` comes from the caller, which left the repetitions out."""
    texts = [example.completion for example in examples]
    return Diversity(
        examples=len(examples),
        prompts=len({example.question for example in examples}),
        distinct={n: compute_distinct(texts, n) for n in (1, 2, 3)},
        repeated=repeated,
        model_written=_compute_model_written(examples),
    )


def compute_distinct(texts: Iterable[str], n: int) -> float:
    """Return the share of distinct word n-grams, none across two texts; 0.0 if there are none."""
    seen: set[tuple[str, ...]] = set()
    total = num_words = 0
    for text in texts:
        words = _WORD.findall(text.lower())[: MAX_WORDS - num_words]
        num_words += len(words)
        grams = list(zip(*(words[k:] for k in range(n)), strict=False))
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def find_warnings(figures: Diversity, limits: Thresholds) -> list[str]:
    """Return a sentence for each figure beyond its threshold."""
    warnings = []
    if figures.prompts < limits.min_prompts:
        warnings.append(f"only {figures.prompts} prompts (fewer than {limits.min_prompts})")
    for n, least in limits.min_distinct.items():
        if figures.distinct[n] < least:
            warnings.append(
                f"distinct-{n} is {figures.distinct[n]:.3f} (below {least}): the "
                "completions repeat themselves"
            )
    if figures.repeated > limits.max_repeated:
        warnings.append(f"{figures.repeated:.0%} of the choices repeat another one word for word")
    if figures.model_written > limits.max_model_written:
        warnings.append(
            f"{figures.model_written:.0%} of the text was written by a model: mix in human "
            "text, or keep the first data set in every round"
        )
    return warnings


def _compute_model_written(examples: Sequence[Example]) -> float:
    by_model = total = 0
    for example in examples:
        for message in example.messages:
            total += len(message.content)
            by_model += len(message.content) if message.role == "assistant" else 0
        written = len(example.completion) + len(example.rejected or "")
        by_model += written
        total += written
    return by_model / total if total else 0.0
