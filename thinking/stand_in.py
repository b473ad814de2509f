"""Chooses the token that stands in for "end of reply" while a thought runs.

Knows the vocabulary only; what the stand-in is for is told in ``thinking.markers``.
"""

from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase


def choose_stand_in(
    tokenizer: PreTrainedTokenizerBase, reserved: frozenset[int], vocab_size: int
) -> int | None:
    """An id below `vocab_size`, not in `reserved`, that a thought can do without."""
    for token_id in _candidates(tokenizer, vocab_size):
        if 0 <= token_id < vocab_size and token_id not in reserved:
            return token_id
    return None


def _candidates(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> Iterator[int]:
    """Best first: special tokens, ids without a text, then the rarest ordinary token."""
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    yield from (token_id for token_id in named if token_id is not None)
    added = tokenizer.added_tokens_decoder
    yield from sorted(token_id for token_id, token in added.items() if token.special)
    yield from range(len(tokenizer), vocab_size)
    yield from range(vocab_size - 1, -1, -1)
