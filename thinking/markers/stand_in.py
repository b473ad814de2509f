"""Chooses the tokens that stand in for "the thought is over" while it runs.

Knows the vocabulary only; what the stand-ins are for is told in ``thinking.markers.profile``. A
stand-in stays in the model's context, so it must be harmless there: a run of line breaks
or spaces is best. A special token such as ``<|endoftext|>`` makes some models start
another document (seen with SmolLM2).
"""

from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

from thinking.markers.boundaries import iterate_token_texts

NUM_STAND_INS = 2
MIN_LINE_BREAKS = 4
MIN_SPACES = 32  # fewer may be the indentation of code


def choose_stand_ins(
    tokenizer: PreTrainedTokenizerBase, reserved: frozenset[int], vocab_size: int
) -> list[int]:
    """Up to two ids below `vocab_size`, not in `reserved`, that a thought can do without."""
    chosen: list[int] = []
    for token_id in _iterate_candidates(tokenizer, vocab_size):
        free = token_id not in reserved and token_id not in chosen
        if free and 0 <= token_id < vocab_size:
            chosen.append(token_id)
        if len(chosen) == NUM_STAND_INS:
            break
    return chosen


def _iterate_candidates(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> Iterator[int]:
    """Best first: white space, special tokens, ids without a text, the rarest token."""
    yield from _find_white_space(tokenizer)
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    yield from (token_id for token_id in named if token_id is not None)
    added = tokenizer.added_tokens_decoder
    yield from sorted(token_id for token_id, token in added.items() if token.special)
    yield from range(len(tokenizer), vocab_size)
    yield from range(vocab_size - 1, -1, -1)


def _find_white_space(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens that are a long run of line breaks or spaces: line breaks first, then short ones.

    The shortest that nobody needs disturbs least.
    """
    found = []
    for token_id, text in iterate_token_texts(tokenizer):
        if set(text) == {"\n"} and len(text) >= MIN_LINE_BREAKS:
            found.append((0, len(text), token_id))
        elif set(text) == {" "} and len(text) >= MIN_SPACES:
            found.append((1, len(text), token_id))
    return [token_id for _, _, token_id in sorted(found)]
