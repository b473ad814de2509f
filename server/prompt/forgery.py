"""Marks control tokens in a caller's strings, so that they are encoded as plain text.

Knows which texts control this model. Does not know templates nor how pieces are
encoded.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedTokenizerBase

from thinking.markers.families import FAMILIES


class ForgeryGuard:
    """Finds, in linear time, where the text of a control token begins."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, marker_texts: Iterable[str] = ()
    ) -> None:
        self._normalizer = _normalizer_of(tokenizer)
        texts = {*_control_texts(tokenizer), *marker_texts}
        texts |= {self._normalize(text) for text in texts}
        guarded = sorted(text for text in texts if len(text) > 1 and not text.isspace())
        pattern = f"(?={_trie_pattern(guarded)})(.)" if guarded else r"(?!)(.)"
        self._first_character = re.compile(pattern, re.DOTALL)

    def mark_message(self, message: dict[str, Any], mark: str) -> dict[str, Any]:
        """A copy with marks in every string but the role, which is one of ours."""
        return {
            key: value if key == "role" else self.mark_value(value, mark)
            for key, value in message.items()
        }

    def mark_value(self, value: Any, mark: str) -> Any:
        """A copy of JSON-like `value` with marks in every string, keys included."""
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
        """`text` with `mark` behind the first character of each control text."""
        if not text.isascii():  # half a surrogate pair, which no tokenizer takes, becomes "?"
            text = text.encode("utf-8", "replace").decode("utf-8")
        normal = self._normalize(text)
        if normal != text and self._count(normal) > self._count(text):
            # A control text in disguise (full-width letters, say): show it as the
            # tokenizer would see it.
            text = normal
        return self._first_character.sub(lambda match: match[1] + mark, text)

    @staticmethod
    def split(text: str, mark: str) -> list[str]:
        """The pieces between the marks, also where a template wrote them as JSON."""
        as_json = json.dumps(mark)[1:-1]
        return re.split(f"{re.escape(mark)}|{re.escape(as_json)}", text)

    def _count(self, text: str) -> int:
        return sum(1 for _ in self._first_character.finditer(text))

    def _normalize(self, text: str) -> str:
        return text if self._normalizer is None else str(self._normalizer.normalize_str(text))


def _control_texts(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Added and special tokens, and the thought markers that the template speaks of.

    Tokens that are not "special" count too: Qwen's ``<think>`` is one of them.
    """
    texts = {token.content for token in tokenizer.added_tokens_decoder.values()}
    texts |= set(tokenizer.all_special_tokens)
    template = str(tokenizer.chat_template or "")
    for family in FAMILIES:
        texts |= {marker for marker in (family.start, family.end) if marker in template}
    return texts


def _normalizer_of(tokenizer: PreTrainedTokenizerBase) -> Any:
    """The normalizer of a fast tokenizer, or None."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return getattr(backend, "normalizer", None)


def _trie_pattern(texts: list[str]) -> str:
    """A regular expression for any of the sorted `texts`, without backtracking.

    A plain alternation would try each of a few thousand tokens at each "<" of a text
    that an attacker sends.
    """
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[0], []).append(text[1:])
    branches = [
        # A shorter text that ends here decides: we only ask whether any begins.
        re.escape(first) + ("" if "" in rests else _trie_pattern(rests))
        for first, rests in groups.items()
    ]
    return f"(?:{'|'.join(branches)})"
