"""Where a thought may be cut gracefully: tokens that end a sentence or a line.

Works on the vocabulary alone, so the worker and the API process find the same set. It
does not know the text around a token: the dot of "3.14" counts as a sentence's end.
"""

import re
from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

_SENTENCE_ENDS = ".!?…‼⁇⁈⁉。．｡！？؟۔।॥։።᠃"
_CLOSERS = "\"'”’»›)]}）］｝」』】〉》*_"
_LINE_BREAKS = "\n\r\u0085\u2028\u2029"
_BOUNDARY = re.compile(
    f"(?:[{re.escape(_SENTENCE_ENDS)}][{re.escape(_CLOSERS)}]* *|[{_LINE_BREAKS}])\\Z"
)
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def boundary_token_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids of the tokens whose text ends a sentence or a line."""
    return frozenset(
        token_id for token_id, text in token_texts(tokenizer) if _BOUNDARY.search(text)
    )


def token_texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[int, str]]:
    """Each id with its text. Decoding one by one would take seconds on a large vocabulary."""
    vocabulary = tokenizer.get_vocab()
    # "Ċ" stands for the line feed where tokens are written as bytes (GPT-2's alphabet).
    to_text = _byte_level_text if "Ċ" in vocabulary else _sentencepiece_text
    added = tokenizer.added_tokens_decoder
    for token, token_id in vocabulary.items():
        yield token_id, token if token_id in added else to_text(token)


def _byte_level_text(token: str) -> str:
    try:
        return token.translate(_BYTE_OF_CHARACTER).encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:  # not written in the byte alphabet: already text
        return token


def _sentencepiece_text(token: str) -> str:
    if byte := _BYTE_TOKEN.fullmatch(token):
        return chr(int(byte[1], 16)) if int(byte[1], 16) < 0x80 else ""
    return token.replace("▁", " ")


def _byte_of_character() -> dict[int, int]:
    """GPT-2's byte alphabet: printable Latin-1 stands for itself, the rest is moved up."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in printable]
    return {0x100 + place: byte for place, byte in enumerate(moved)}


_BYTE_OF_CHARACTER = _byte_of_character()
