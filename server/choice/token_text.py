"""What single tokens look like, for whoever is told of tokens rather than of text."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from server.choice.detokenizer import Detokenizer
from thinking.markers.boundaries import map_token_bytes


@lru_cache(maxsize=4)
def bytes_of_tokens(tokenizer: PreTrainedTokenizerBase) -> Mapping[int, bytes]:
    """Made once for a tokenizer: it reads the whole vocabulary."""
    return map_token_bytes(tokenizer)


def token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """A token's text; of one that is a part of a character, its bytes as OpenAI writes them."""
    piece = bytes_of_tokens(tokenizer).get(token_id, b"")
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def text_offsets(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], *, shows_special: bool
) -> tuple[list[int], str]:
    """Where the text of each token begins, in characters, and the whole text.

    Those of one character begin together.
    """
    shown = tokenizer.added_tokens_decoder if shows_special else ()
    detokenizer = Detokenizer(tokenizer, shown_special=shown)
    offsets, pieces, length = [], [], 0
    for token_id in token_ids:
        offsets.append(length)
        pieces.append(detokenizer.push((token_id,)))
        length += len(pieces[-1])
    return offsets, "".join(pieces)
