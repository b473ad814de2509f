"""Tiny "models" for the scripted engine: next-token logits without weights.

They know the tokens so far, nothing of thoughts or text.
"""

from collections.abc import Sequence
from typing import Protocol

import torch


class LogitsSource(Protocol):
    """Where a scripted engine's logits come from."""

    @property
    def vocab_size(self) -> int:
        """Length of the logits."""

    def logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """Next-token logits, float32 ``[vocab_size]``; the caller does not change them."""


class RandomLogits:
    """A random bigram model: the last two tokens decide, the same way each time."""

    def __init__(self, vocab_size: int, seed: int = 0, spread: float = 2.0) -> None:
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(seed)
        self._last = torch.randn((vocab_size, vocab_size), generator=generator) * spread
        self._before = torch.randn((vocab_size, vocab_size), generator=generator) * spread

    def logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`LogitsSource`."""
        before, last = (*prompt[:1], *prompt[-2:], *output[-2:])[-2:]
        return self._last[last] + self._before[before]


class WantedTokens:
    """Wants the tokens of a script, in order; where others are forced, it goes on after.

    At the end of the script it wants `stop_token_id`.
    """

    WANT = 60.0

    def __init__(self, vocab_size: int, wanted: Sequence[int], stop_token_id: int) -> None:
        self.vocab_size = vocab_size
        self._wanted = tuple(wanted)
        self._stop_token_id = stop_token_id

    def logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`LogitsSource`."""
        position = 0
        for token_id in output:
            if position < len(self._wanted) and token_id == self._wanted[position]:
                position += 1
        at_end = position == len(self._wanted)
        logits = torch.zeros(self.vocab_size)
        logits[self._stop_token_id if at_end else self._wanted[position]] = self.WANT
        return logits
