"""Batches of examples as padded token ids, examples of like length together.

Knows the tokenizer and the shapes that the model trains on; nothing of what is learned.
"""

from collections.abc import Iterator
from functools import cache
from itertools import islice

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from thinking.thinker.corpus import Example

IGNORED = -100  # torch's cross entropy leaves such labels out
_POOL = 4096  # examples that are sorted by length before they are cut into batches


class FragmentTokens:
    """Token ids of fragments, remembered: a corpus has few different ones."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        def encode(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False))

        self._encode = cache(encode)

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """Token ids, and labels (``IGNORED`` where nothing is learned), of the same length."""
        token_ids: list[int] = []
        labels: list[int] = []
        for fragment in example:
            ids = self._encode(fragment.text)
            token_ids += ids
            labels += ids if fragment.learned else [IGNORED] * len(ids)
        return token_ids, labels


def batches(
    stream: Iterator[Example], tokens: FragmentTokens, batch_tokens: int, pad_id: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and labels, int64 ``[rows, length]`` with ``rows * length <= batch_tokens``.

    Padding is on the right: under causal attention no token sees it, so no mask is needed.
    """
    generator = torch.Generator().manual_seed(0)
    while True:
        pool = sorted((tokens.encode(e) for e in islice(stream, _POOL)), key=lambda e: len(e[0]))
        cut = _cut(pool, batch_tokens)
        for i in torch.randperm(len(cut), generator=generator).tolist():
            rows = cut[i]
            length = len(rows[-1][0])
            yield (
                torch.tensor([ids + [pad_id] * (length - len(ids)) for ids, _ in rows]),
                torch.tensor([labels + [IGNORED] * (length - len(labels)) for _, labels in rows]),
            )


def _cut(
    pool: list[tuple[list[int], list[int]]], batch_tokens: int
) -> list[list[tuple[list[int], list[int]]]]:
    cut: list[list[tuple[list[int], list[int]]]] = [[]]
    for example in pool:
        if (len(cut[-1]) + 1) * len(example[0]) > batch_tokens:
            cut.append([])
        cut[-1].append(example)
    return [rows for rows in cut if rows]
