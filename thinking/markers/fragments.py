"""Encodes pieces of text as they are encoded inside a longer text.

A tokenizer may treat the start of a text specially (SentencePiece puts a space before
it); a marker or the rest of a cut text must not get that. Does not know what a piece
means: special tokens written in it are parsed.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


class FragmentEncoder:
    """Encodes without special tokens added, and not as the start of a text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._anchor, self._anchor_id = _find_anchor(tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text` in the middle of a text."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """As :meth:`encode`, for each of `texts`; equal ones are encoded once."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return []
        anchored = self._encode_batch([self._anchor + text for text in distinct])
        ids = {
            text: tuple(found[1:]) if found[:1] == [self._anchor_id] else self.encode_start(text)
            for text, found in zip(distinct, anchored, strict=True)
        }
        return [ids[text] for text in texts]

    def encode_start(self, text: str) -> tuple[int, ...]:
        """Token ids of `text` at the start of a text."""
        return tuple(self._encode_batch([text])[0])

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        # The length warning is about prompts that are too long: refused elsewhere.
        encoded = self._tokenizer(texts, add_special_tokens=False, verbose=False)
        return list(encoded["input_ids"])


def _find_anchor(tokenizer: PreTrainedTokenizerBase) -> tuple[str, int | None]:
    """A special token to put before a piece, one that takes nothing of the piece."""
    for token_id, token in sorted(tokenizer.added_tokens_decoder.items()):
        if token.special and not (token.rstrip or token.single_word):
            return token.content, token_id
    return "", None
