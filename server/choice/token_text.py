"""Texts of single tokens, for responses that describe tokens rather than text."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from server.choice.detokenizer import Detokenizer
from thinking.markers.boundaries import map_token_bytes


@lru_cache(maxsize=4)
def get_token_bytes(tokenizer: PreTrainedTokenizerBase) -> Mapping[int, bytes]:
    """Return the bytes of each token id. Cached, since it reads the whole vocabulary."""
    return map_token_bytes(tokenizer)


def token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """Return a token's text; for a part of a character, its bytes as OpenAI writes them."""
    piece = get_token_bytes(tokenizer).get(token_id, b"")
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def text_offsets(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], *, shows_special: bool
) -> tuple[list[int], str]:
    """Return the offset of each token's text, in characters, and the whole text.

    Tokens that form one character have the same offset.
    """
    shown = tokenizer.added_tokens_decoder if shows_special else ()
    detokenizer = Detokenizer(tokenizer, shown_special=shown)
    offsets, pieces, length = [], [], 0
    for token_id in token_ids:
        offsets.append(length)
        pieces.append(detokenizer.push((token_id,)))
        length += len(pieces[-1])
    return offsets, "".join(pieces)
