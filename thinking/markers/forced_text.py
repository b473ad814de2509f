"""Encodes the texts that we force into a reply, and rejects those that cannot work.

Knows the setting of each text, so that an error can name it. Does not know how the texts
were chosen.
"""

from transformers import PreTrainedTokenizerBase

from thinking.markers.fragments import FragmentEncoder
from thinking.markers.profile import MAX_MARKER_TOKENS

MAX_FORCED_TEXT_TOKENS = 128


class ProfileError(ValueError):
    """The markers cannot work. `field` is the setting to change, or None."""

    def __init__(self, field: str | None, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}" if field else problem)


class ForcedTextEncoder:
    """Encoder for one tokenizer; `stop_token_ids` are the ids that end a reply."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop_token_ids: tuple[int, ...]) -> None:
        self._fragments = FragmentEncoder(tokenizer)
        self._stop_token_ids = stop_token_ids

    def encode_markers(self, start: str, end: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the token ids of both markers.

        Raises:
            ProfileError: one marker begins with the other, a marker has no token or more
                than ``MAX_MARKER_TOKENS``, or as :meth:`encode`.
        """
        start_ids = self._encode_marker("thinking_start", start)
        end_ids = self._encode_marker("thinking_end", end)
        shorter = min(len(start_ids), len(end_ids))
        if start_ids[:shorter] == end_ids[:shorter]:
            raise ProfileError("thinking_end", "one marker equals the other or begins with it")
        return start_ids, end_ids

    def encode(self, field: str, text: str) -> tuple[int, ...]:
        """Return the token ids of a forced `text`, which may be empty.

        Raises:
            ProfileError: the text has more than ``MAX_FORCED_TEXT_TOKENS`` tokens, or
                contains a token that ends a reply.
        """
        ids = self._fragments.encode(text)
        if len(ids) > MAX_FORCED_TEXT_TOKENS:
            raise ProfileError(
                field, f"has {len(ids)} tokens; at most {MAX_FORCED_TEXT_TOKENS} are allowed"
            )
        if stops := sorted(set(ids).intersection(self._stop_token_ids)):
            raise ProfileError(field, f"{text!r} contains token {stops[0]}, which ends a reply")
        return ids

    def encode_prompt_text(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text for the end of the prompt; any token is allowed there."""
        return self._fragments.encode(text)

    def _encode_marker(self, field: str, text: str) -> tuple[int, ...]:
        ids = self.encode(field, text)
        if not 1 <= len(ids) <= MAX_MARKER_TOKENS:
            raise ProfileError(
                field, f"{text!r} has {len(ids)} tokens; a marker has 1 to {MAX_MARKER_TOKENS}"
            )
        return ids
