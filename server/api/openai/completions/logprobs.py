"""Log-probabilities in the form of OpenAI's older endpoint: parallel lists.

Alternatives that are markers are left out: their text is never shown. Does not know which positions
belong to the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.api.openai.logprobs import LOWEST_LOGPROB, get_hidden_token_ids
from server.choice.delta import ChoiceDelta
from server.choice.token_text import token_text
from server.engine.protocol import Engine, TokenLogprobs


@dataclass(slots=True)
class TokenLists:
    """``choices[i].logprobs``; the first token of a prompt has no log-probability: None."""

    tokens: list[str] = field(default_factory=list)
    token_logprobs: list[float | None] = field(default_factory=list)
    top_logprobs: list[Mapping[str, float] | None] = field(default_factory=list)
    text_offset: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        }

    def add(self, later: "TokenLists") -> None:
        """Append the lists of later tokens."""
        self.tokens += later.tokens
        self.token_logprobs += later.token_logprobs
        self.top_logprobs += later.top_logprobs
        self.text_offset += later.text_offset


class TokenListsWriter:
    """Writes the lists of one request. Uses the vocabulary, not the tokenizer's state."""

    def __init__(self, engine: Engine, num_top: int) -> None:
        self.num_top = num_top
        self._tokenizer = engine.tokenizer
        self._hidden_ids = get_hidden_token_ids(engine.profile)

    def write_answer(self, delta: ChoiceDelta, offset: int, end_offset: int) -> TokenLists:
        """Return the lists of the tokens in `delta`.

        `offset` is the number of characters before the answer, and `end_offset` the place where it
        ends. The token that ends an answer is one of its tokens, without text.
        """
        lists = TokenLists()
        for entry, begin in zip(delta.logprobs, delta.offsets, strict=True):
            self._append(lists, entry.sampled.token_id, entry, offset + begin)
        if delta.end_logprobs is not None:
            entry = delta.end_logprobs
            self._append(lists, entry.sampled.token_id, entry, end_offset)
        return lists

    def write_prompt(
        self,
        token_ids: Sequence[int],
        entries: Sequence[TokenLogprobs | None],
        offsets: Sequence[int],
    ) -> TokenLists:
        """Return the lists of a prompt's tokens."""
        lists = TokenLists()
        for token_id, entry, begin in zip(token_ids, entries, offsets, strict=True):
            self._append(lists, token_id, entry, begin)
        return lists

    def _append(
        self, lists: TokenLists, token_id: int, entry: TokenLogprobs | None, begin: int
    ) -> None:
        lists.tokens.append(token_text(self._tokenizer, token_id))
        lists.token_logprobs.append(None if entry is None else _floor(entry.sampled.logprob))
        lists.top_logprobs.append(None if entry is None else self._get_top(entry))
        lists.text_offset.append(begin)

    def _get_top(self, entry: TokenLogprobs) -> dict[str, float]:
        """Return the most likely tokens and the token itself, by text.

        Of tokens with the same text, only the most likely one is included.
        """
        shown = [top for top in entry.top if top.token_id not in self._hidden_ids]
        texts: dict[str, float] = {}
        for top in (*shown[: self.num_top], entry.sampled):
            texts.setdefault(token_text(self._tokenizer, top.token_id), _floor(top.logprob))
        return texts


def _floor(logprob: float) -> float:
    return max(logprob, LOWEST_LOGPROB)
