"""Tiny "models" for the scripted engine: next-token logits without weights.

They depend on the tokens so far and know nothing of thoughts or text.
"""

from collections.abc import Sequence
from typing import Protocol

import torch


class LogitsSource(Protocol):
    """Source of a scripted engine's logits."""

    @property
    def vocab_size(self) -> int:
        """Length of the logits."""

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """Return next-token logits, float32 ``[vocab_size]``. The caller must not modify them."""


class RandomLogits:
    """A random model whose logits are a fixed function of the last two tokens."""

    def __init__(self, vocab_size: int, seed: int = 0, spread: float = 2.0) -> None:
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(seed)
        self._last = torch.randn((vocab_size, vocab_size), generator=generator) * spread
        self._before = torch.randn((vocab_size, vocab_size), generator=generator) * spread

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`LogitsSource`."""
        before, last = (*prompt[:1], *prompt[-2:], *output[-2:])[-2:]
        return self._last[last] + self._before[before]


class WantedTokens:
    """A model that prefers the tokens of a script in order, and then `stop_token_id`.

    If other tokens are forced, it resumes the script after them.
    """

    WANT = 60.0

    def __init__(self, vocab_size: int, wanted: Sequence[int], stop_token_id: int) -> None:
        self.vocab_size = vocab_size
        self._wanted = tuple(wanted)
        self._stop_token_id = stop_token_id

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`LogitsSource`."""
        position = 0
        for token_id in output:
            if position < len(self._wanted) and token_id == self._wanted[position]:
                position += 1
        at_end = position == len(self._wanted)
        logits = torch.zeros(self.vocab_size)
        logits[self._stop_token_id if at_end else self._wanted[position]] = self.WANT
        return logits
