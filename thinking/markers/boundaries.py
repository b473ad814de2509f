"""Tokens at which a thought may be cut gracefully: they end a sentence or a line.

Works on the vocabulary alone, so that the worker and the API process find the same set. It
does not know the text around a token: the dot of "3.14" counts as the end of a sentence.
"""

import re
from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

_SENTENCE_ENDS = ".!?…‼⁇⁈⁉。．｡！？؟۔।॥։።᠃"
_CLOSERS = "\"'”’»›)]}）］｝」』】〉》*_"
_LINE_BREAKS = "\n\r\u0085\u2028\u2029"
_STEP_ENDS = ("\n", "\r")
_BOUNDARY = re.compile(
    f"(?:[{re.escape(_SENTENCE_ENDS)}][{re.escape(_CLOSERS)}]* *|[{_LINE_BREAKS}])\\Z"
)
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def find_boundary_token_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of the tokens whose text ends a sentence or a line."""
    return frozenset(
        token_id for token_id, text in iterate_token_texts(tokenizer) if _BOUNDARY.search(text)
    )


def find_line_token_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of the tokens whose text ends a line, and with it a step of thought."""
    return frozenset(
        token_id for token_id, text in iterate_token_texts(tokenizer) if text.endswith(_STEP_ENDS)
    )


def iterate_token_texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[int, str]]:
    """Yield each token id with its text; bytes that are not valid UTF-8 are replaced."""
    for token_id, text in map_token_bytes(tokenizer).items():
        yield token_id, text.decode("utf-8", "replace")


def map_token_bytes(tokenizer: PreTrainedTokenizerBase) -> dict[int, bytes]:
    """Map each token id to its text in UTF-8; a token may hold part of a character only.

    Decoding the tokens one by one would take seconds for a large vocabulary.
    """
    vocabulary = tokenizer.get_vocab()
    # A vocabulary in GPT-2's byte alphabet writes the line feed as "Ċ".
    to_bytes = _decode_byte_level if "Ċ" in vocabulary else _decode_sentencepiece
    added = tokenizer.added_tokens_decoder
    return {
        token_id: token.encode(errors="replace") if token_id in added else to_bytes(token)
        for token, token_id in vocabulary.items()
    }


def _decode_byte_level(token: str) -> bytes:
    try:
        return token.translate(_BYTE_OF_CHARACTER).encode("latin-1")
    except UnicodeEncodeError:  # not in the byte alphabet: already text
        return token.encode(errors="replace")


def _decode_sentencepiece(token: str) -> bytes:
    if byte := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return token.replace("▁", " ").encode(errors="replace")


def _build_byte_alphabet() -> dict[int, int]:
    """Build GPT-2's byte alphabet: printable Latin-1 stands for itself, the rest is moved up."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in printable]
    return {0x100 + place: byte for place, byte in enumerate(moved)}


_BYTE_OF_CHARACTER = _build_byte_alphabet()
