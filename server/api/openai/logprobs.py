"""Log-probabilities of answer tokens in OpenAI's form.

Alternatives that are markers are left out: their text is never shown. Does not know which positions
belong to the answer.
"""

from collections.abc import Sequence
from typing import Any

from server.engine.protocol import Engine, TokenLogprob, TokenLogprobs
from thinking.markers.profile import MarkerProfile

# JSON has no -inf; OpenAI's own floor.
LOWEST_LOGPROB = -9999.0


def get_hidden_token_ids(profile: MarkerProfile) -> frozenset[int]:
    """Return the tokens never shown as alternatives: markers that are a single token."""
    markers = (profile.start_token_ids, profile.end_token_ids)
    return frozenset(ids[0] for ids in markers if len(ids) == 1)


class LogprobsWriter:
    """Writes the log-probabilities of one request."""

    def __init__(self, engine: Engine, num_top: int) -> None:
        self._hidden_ids = get_hidden_token_ids(engine.profile)
        self._tokenizer = engine.tokenizer
        self._num_top = num_top

    def to_dict(self, entries: Sequence[TokenLogprobs]) -> dict[str, Any]:
        """Return ``choices[i].logprobs``."""
        return {"content": [self._to_entry(entry) for entry in entries], "refusal": None}

    def _to_entry(self, entry: TokenLogprobs) -> dict[str, Any]:
        shown = [top for top in entry.top if top.token_id not in self._hidden_ids]
        top_logprobs = [self._to_token(top) for top in shown[: self._num_top]]
        return {**self._to_token(entry.sampled), "top_logprobs": top_logprobs}

    def _to_token(self, token: TokenLogprob) -> dict[str, Any]:
        text: str = self._tokenizer.decode([token.token_id])
        is_part_of_character = "\N{REPLACEMENT CHARACTER}" in text
        return {
            "token": text,
            "logprob": max(token.logprob, LOWEST_LOGPROB),
            "bytes": None if is_part_of_character else list(text.encode()),
        }
