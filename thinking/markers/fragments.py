"""Encodes pieces of text as they would be encoded inside a longer text.

A tokenizer may treat the start of a text specially (SentencePiece puts a space before it).
That must not happen to a marker or to the rest of a cut text. Does not know what a piece
means: special tokens written in it are parsed.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


class FragmentEncoder:
    """Encoder that adds no special tokens and does not treat a text as the start of one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._anchor, self._anchor_id = _find_anchor(tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the token ids of `text` in the middle of a longer text."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the ids of each of `texts`, as :meth:`encode`; equal texts are encoded once."""
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
        """Return the token ids of `text` at the start of a text."""
        return tuple(self._encode_batch([text])[0])

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        # `verbose=False`: no warning about long prompts, which are rejected elsewhere.
        encoded = self._tokenizer(texts, add_special_tokens=False, verbose=False)
        return list(encoded["input_ids"])


def _find_anchor(tokenizer: PreTrainedTokenizerBase) -> tuple[str, int | None]:
    """Find a special token to put before a piece, which absorbs no text of the piece."""
    for token_id, token in sorted(tokenizer.added_tokens_decoder.items()):
        if token.special and not (token.rstrip or token.single_word):
            return token.content, token_id
    return "", None
