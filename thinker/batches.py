"""Batches of examples as padded token ids, with examples of similar length together.

Knows the tokenizer and the shapes that a model trains on; nothing of what is learned.
"""

from collections.abc import Iterator
from functools import cache
from itertools import islice

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from thinker.corpus import Example

IGNORED = -100  # torch's cross entropy skips such labels
_POOL = 4096  # examples that are sorted by length before they are cut into batches
# As many labels as token ids; ``IGNORED`` where nothing is learned.
Labelled = tuple[list[int], list[int]]


class TextTokens:
    """Token ids of pieces of text, cached: a corpus has few different ones."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        def encode(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False))

        self.ids_of = cache(encode)

    def encode(self, example: Example) -> Labelled:
        """Return a dialogue's token ids and labels; a learned token's label is the token itself."""
        token_ids: list[int] = []
        labels: list[int] = []
        for fragment in example:
            ids = self.ids_of(fragment.text)
            token_ids += ids
            labels += ids if fragment.learned else [IGNORED] * len(ids)
        return token_ids, labels


def make_batches(
    stream: Iterator[Labelled], batch_tokens: int, pad_id: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield token ids and labels, int64 ``[rows, length]`` with ``rows * length <= batch_tokens``.

    Padding is on the right: under causal attention no token sees it, so no mask is needed.
    """
    generator = torch.Generator().manual_seed(0)
    while True:
        pool = sorted(islice(stream, _POOL), key=lambda labelled: len(labelled[0]))
        cut = _cut(pool, batch_tokens)
        for i in torch.randperm(len(cut), generator=generator).tolist():
            rows = cut[i]
            yield (
                pad_rows((ids for ids, _ in rows), pad_id),
                pad_rows((row for _, row in rows), IGNORED),
            )


def pad_rows(rows: Iterator[list[int]], filler: int) -> Tensor:
    """Return rows of different lengths as one int64 tensor, `filler` after the shorter ones."""
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)


def _cut(pool: list[Labelled], batch_tokens: int) -> list[list[Labelled]]:
    cut: list[list[Labelled]] = [[]]
    for example in pool:
        if (len(cut[-1]) + 1) * len(example[0]) > batch_tokens:
            cut.append([])
        cut[-1].append(example)
    return [rows for rows in cut if rows]
