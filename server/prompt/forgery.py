"""Marks control tokens in a caller's strings, so that they are encoded as plain text.

Knows the texts of the model's control tokens. Does not know templates or how pieces are encoded.
"""

import json
import re
import secrets
from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedTokenizerBase

from thinking.markers.families import FAMILIES


class ForgeryGuard:
    """Finds the positions in a text where a control token begins, in linear time."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, guarded_texts: Iterable[str] = ()
    ) -> None:
        self._normalizer = _find_normalizer(tokenizer)
        texts = {*_collect_control_texts(tokenizer), *guarded_texts}
        texts |= {self._normalize(text) for text in texts}
        guarded = sorted(text for text in texts if len(text) > 1 and not text.isspace())
        pattern = f"(?={_build_trie_pattern(guarded)})(.)" if guarded else r"(?!)(.)"
        self._first_character = re.compile(pattern, re.DOTALL)

    def mark_message(self, message: dict[str, Any], mark: str) -> dict[str, Any]:
        """Return a copy with marks in every string except the role, which is validated."""
        return {
            key: value if key == "role" else self.mark_value(value, mark)
            for key, value in message.items()
        }

    def mark_value(self, value: Any, mark: str) -> Any:
        """Return a copy of JSON-like `value` with marks in every string, including keys."""
        if isinstance(value, str):
            return self.mark_text(value, mark)
        if isinstance(value, dict):
            return {
                self.mark_value(key, mark): self.mark_value(item, mark)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.mark_value(item, mark) for item in value]
        return value

    def mark_text(self, text: str, mark: str) -> str:
        """Return `text` with `mark` after the first character of each control text."""
        if not text.isascii():  # a lone surrogate, which no tokenizer accepts, becomes "?"
            text = text.encode("utf-8", "replace").decode("utf-8")
        normal = self._normalize(text)
        if normal != text and self._count(normal) > self._count(text):
            # The text contains a disguised control text (such as full-width letters): use the
            # form that the tokenizer would see.
            text = normal
        return self._first_character.sub(lambda match: match[1] + mark, text)

    def cut_text(self, text: str) -> list[str]:
        """Return `text` in pieces, none of which contains a control text."""
        mark = make_mark()
        return self.split(self.mark_text(text, mark), mark)

    @staticmethod
    def split(text: str, mark: str) -> list[str]:
        """Return the pieces between the marks, including marks that a template escaped as JSON."""
        as_json = json.dumps(mark)[1:-1]
        return re.split(f"{re.escape(mark)}|{re.escape(as_json)}", text)

    def _count(self, text: str) -> int:
        return sum(1 for _ in self._first_character.finditer(text))

    def _normalize(self, text: str) -> str:
        return text if self._normalizer is None else str(self._normalizer.normalize_str(text))


def make_mark() -> str:
    """Return eight random private-use characters that a caller cannot guess."""
    return "".join(chr(0xE000 + secrets.randbelow(0x1900)) for _ in range(8))


def _collect_control_texts(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Return the added and special tokens, and the thought markers that the template contains.

    Added tokens that are not "special" are included: Qwen's ``<think>`` is one of them.
    """
    texts = {token.content for token in tokenizer.added_tokens_decoder.values()}
    texts |= set(tokenizer.all_special_tokens)
    template = str(tokenizer.chat_template or "")
    for family in FAMILIES:
        texts |= {marker for marker in (family.start, family.end) if marker in template}
    return texts


def _find_normalizer(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the normalizer of a fast tokenizer, or None."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return getattr(backend, "normalizer", None)


def _build_trie_pattern(texts: list[str]) -> str:
    """Return a regular expression that matches any of the sorted `texts` without backtracking.

    A plain alternation would try each of a few thousand tokens at each "<" of an attacker's text.
    """
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[0], []).append(text[1:])
    branches = [
        # A shorter text that ends here is enough: only the start of a match matters.
        re.escape(first) + ("" if "" in rests else _build_trie_pattern(rests))
        for first, rests in groups.items()
    ]
    return f"(?:{'|'.join(branches)})"
