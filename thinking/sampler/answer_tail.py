"""The last bytes of each answer, to detect that it has just ended with a given string.

Compares text, not tokens: a string is found however the model has split it into tokens.
Knows nothing of gates or phases.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from thinking.gate import MAX_GATE_STRING_BYTES, MAX_GATE_STRINGS
from thinking.sampler.arrays import Array, ArrayLibrary

WIDTH = MAX_GATE_STRING_BYTES
ANY = 0  # in a string's row: matches every byte; no text contains this one


class TokenBytes:
    """The last ``WIDTH`` bytes of each token.

    `table` is uint8 ``[vocab_size, WIDTH]``, left-aligned; `lengths` is int64 ``[vocab_size]``.
    """

    def __init__(self, texts: Mapping[int, bytes], vocab_size: int, arrays: ArrayLibrary) -> None:
        table = np.zeros((vocab_size, WIDTH), dtype=np.uint8)
        lengths = np.zeros(vocab_size, dtype=np.int64)
        for token_id, text in texts.items():
            if 0 <= token_id < vocab_size:
                kept = text[-WIDTH:]
                table[token_id, : len(kept)] = np.frombuffer(kept, dtype=np.uint8)
                lengths[token_id] = len(kept)
        self.texts = texts
        self.table = arrays.put(table, "uint8")
        self.lengths = arrays.put(lengths, "int64")


class AnswerTails:
    """The tail of the answer in each slot, and the strings to look for.

    Shapes: tails ``[slots, WIDTH]`` and strings ``[slots, MAX_GATE_STRINGS, WIDTH]``, both
    uint8 and right-aligned. 288 bytes per slot.
    """

    def __init__(self, tokens: TokenBytes, slots: int, arrays: ArrayLibrary) -> None:
        self._tokens = tokens
        self._arrays = arrays
        self._places = arrays.put(range(WIDTH), "int64")
        self.tails = arrays.zeros((slots, WIDTH), "uint8")
        self.strings = arrays.zeros((slots, MAX_GATE_STRINGS, WIDTH), "uint8")

    def make_tail(self, token_ids: Sequence[int]) -> bytes:
        """Return the last ``WIDTH`` bytes of an answer."""
        texts = self._tokens.texts
        return b"".join(texts.get(token_id, b"") for token_id in token_ids[-WIDTH:])[-WIDTH:]

    def write(self, slots: Array, images: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """Set the tail and strings of each of `slots` (int64 ``[n]``)."""
        if not any(tail or strings for tail, strings in images):
            self.strings[slots] = 0
            return
        tails = np.stack([_align_right(tail) for tail, _ in images])
        rows = np.zeros((len(images), MAX_GATE_STRINGS, WIDTH), dtype=np.uint8)
        for row, (_, strings) in zip(rows, images, strict=True):
            for place, string in enumerate(strings):
                row[place] = _align_right(string.encode())
        self.tails[slots] = self._arrays.put(tails, "uint8")
        self.strings[slots] = self._arrays.put(rows, "uint8")

    def push(self, slots: Array, token_ids: Array, answering: Array) -> None:
        """Append the bytes of one token per slot where `answering` (bool ``[n]``)."""
        old, new = self.tails[slots], self._tokens.table[token_ids]
        both = self._arrays.concatenate(old, new)
        shift = self._tokens.lengths[token_ids] * answering
        rows = self._arrays.put(range(len(both)), "int64")
        self.tails[slots] = both[rows[:, None], self._places + shift[:, None]]

    def ends_with_string(self, slots: Array) -> Array:
        """Return whether (bool ``[n]``) each answer ends with one of its strings."""
        strings = self.strings[slots]
        same = (strings == self.tails[slots][:, None]) | (strings == ANY)
        return (same.all(2) & (strings[:, :, -1] != ANY)).any(1)


def _align_right(text: bytes) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(text.rjust(WIDTH, b"\0"), dtype=np.uint8)
