"""The last bytes of each answer, to notice that it has just ended with a given string.

Looks at text, not at tokens: a string is found however the model has cut it into tokens.
Knows nothing of gates or phases.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from thinking.gate import MAX_GATE_STRING_BYTES, MAX_GATE_STRINGS
from thinking.transfer import to_device

WIDTH = MAX_GATE_STRING_BYTES
ANY = 0  # in a string's row: whatever stands there; no text has this byte


class TokenBytes:
    """The bytes of each token, the last ``WIDTH`` of them.

    `table` uint8 ``[vocab_size, WIDTH]``, filled from the left; `lengths` int64.
    """

    def __init__(self, texts: Mapping[int, bytes], vocab_size: int, device: torch.device) -> None:
        table = np.zeros((vocab_size, WIDTH), dtype=np.uint8)
        lengths = np.zeros(vocab_size, dtype=np.int64)
        for token_id, text in texts.items():
            if 0 <= token_id < vocab_size:
                kept = text[-WIDTH:]
                table[token_id, : len(kept)] = np.frombuffer(kept, dtype=np.uint8)
                lengths[token_id] = len(kept)
        self.texts = texts
        self.table = to_device(table, torch.uint8, device)
        self.lengths = to_device(lengths, torch.int64, device)


class AnswerTails:
    """Slots of answer tails and of the strings that are looked for.

    Shapes: tails ``[slots, WIDTH]`` and strings ``[slots, MAX_GATE_STRINGS, WIDTH]``,
    uint8, both filled from the right. 288 bytes a slot.
    """

    def __init__(self, tokens: TokenBytes, slots: int, device: torch.device) -> None:
        self._tokens = tokens
        self._device = device
        self._places = torch.arange(WIDTH, device=device)
        self.tails = torch.zeros((slots, WIDTH), dtype=torch.uint8, device=device)
        shape = (slots, MAX_GATE_STRINGS, WIDTH)
        self.strings = torch.zeros(shape, dtype=torch.uint8, device=device)

    def grow(self, extra: int) -> None:
        """Add `extra` slots."""
        pad = torch.nn.functional.pad
        self.tails = pad(self.tails, (0, 0, 0, extra))
        self.strings = pad(self.strings, (0, 0, 0, 0, 0, extra))

    def tail_of(self, token_ids: Sequence[int]) -> bytes:
        """The last ``WIDTH`` bytes of an answer."""
        texts = self._tokens.texts
        return b"".join(texts.get(token_id, b"") for token_id in token_ids[-WIDTH:])[-WIDTH:]

    def write(self, slots: torch.Tensor, images: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """Set tails and strings, one pair a slot of `slots` (int64 ``[n]``)."""
        if not any(tail or strings for tail, strings in images):
            self.strings[slots] = 0
            return
        tails = np.stack([_from_right(tail) for tail, _ in images])
        rows = np.zeros((len(images), MAX_GATE_STRINGS, WIDTH), dtype=np.uint8)
        for row, (_, strings) in zip(rows, images, strict=True):
            for place, string in enumerate(strings):
                row[place] = _from_right(string.encode())
        self.tails[slots] = to_device(tails, torch.uint8, self._device)
        self.strings[slots] = to_device(rows, torch.uint8, self._device)

    def push(self, slots: torch.Tensor, token_ids: torch.Tensor, answering: torch.Tensor) -> None:
        """Add one token's bytes where `answering` (bool ``[n]``)."""
        both = torch.cat((self.tails[slots], self._tokens.table[token_ids]), dim=1)
        shift = self._tokens.lengths[token_ids] * answering
        self.tails[slots] = both.gather(1, self._places + shift[:, None])

    def ends_with_string(self, slots: torch.Tensor) -> torch.Tensor:
        """Whether (bool ``[n]``) an answer ends with one of its strings."""
        strings = self.strings[slots]
        same = (strings == self.tails[slots][:, None]) | (strings == ANY)
        return (same.all(dim=2) & (strings[:, :, -1] != ANY)).any(dim=1)


def _from_right(text: bytes) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(text.rjust(WIDTH, b"\0"), dtype=np.uint8)
