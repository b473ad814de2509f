"""Chooses the stand-ins: tokens that mean "the thought is over" while a thought runs.

Knows the vocabulary only; ``thinking.markers.profile`` describes their use. A stand-in stays
in the model's context, so it must be harmless there: a run of line breaks or spaces is best.
A special token such as ``<|endoftext|>`` makes some models start another document (seen with
SmolLM2).
"""

from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

from thinking.markers.boundaries import iterate_token_texts

NUM_STAND_INS = 2
MIN_LINE_BREAKS = 4
MIN_SPACES = 32  # fewer could be the indentation of code


def choose_stand_ins(
    tokenizer: PreTrainedTokenizerBase, reserved: frozenset[int], vocab_size: int
) -> list[int]:
    """Return up to two ids below `vocab_size`, not in `reserved`, that no thought needs."""
    chosen: list[int] = []
    for token_id in _iterate_candidates(tokenizer, vocab_size):
        free = token_id not in reserved and token_id not in chosen
        if free and 0 <= token_id < vocab_size:
            chosen.append(token_id)
        if len(chosen) == NUM_STAND_INS:
            break
    return chosen


def _iterate_candidates(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> Iterator[int]:
    """Yield candidates, best first: white space, special tokens, ids without text, rare tokens."""
    yield from _find_white_space(tokenizer)
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    yield from (token_id for token_id in named if token_id is not None)
    added = tokenizer.added_tokens_decoder
    yield from sorted(token_id for token_id, token in added.items() if token.special)
    yield from range(len(tokenizer), vocab_size)
    yield from range(vocab_size - 1, -1, -1)


def _find_white_space(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return tokens that are a long run of line breaks or spaces.

    Line breaks come first, and shorter runs before longer ones: the shortest run that no text
    needs disturbs least.
    """
    found = []
    for token_id, text in iterate_token_texts(tokenizer):
        if set(text) == {"\n"} and len(text) >= MIN_LINE_BREAKS:
            found.append((0, len(text), token_id))
        elif set(text) == {" "} and len(text) >= MIN_SPACES:
            found.append((1, len(text), token_id))
    return [token_id for _, _, token_id in sorted(found)]
