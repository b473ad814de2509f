"""Tokens of a map's text and of the prompt before it.

With a conversation, the text is the reply, without a thought at its start. Alone, it is the start
of a text. Does not know engine requests and limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from server.choice.token_text import get_token_bytes
from server.errors.api import BadRequestError
from server.prompt.rendering import encode_plain, find_text_start, render_prompt
from thinking.markers.profile import MarkerProfile


@dataclass(frozen=True, slots=True)
class MeasuredText:
    """Token ids of the text, with the bytes of each, and of the prompt before it (not empty).

    If the text is a reply, `opening_token_ids` is the prompt before a thought at the text's start.
    None: the text is no reply, and such a thought is like any other.
    """

    prompt_token_ids: tuple[int, ...]
    opening_token_ids: tuple[int, ...] | None
    token_ids: tuple[int, ...]
    pieces: tuple[bytes, ...]

    def get_prefix(self, index: int) -> tuple[int, ...]:
        """Return all tokens before the text's `index`-th token."""
        return self.prompt_token_ids + self.token_ids[:index]


def encode_measured_text(
    tokenizer: PreTrainedTokenizerBase,
    profile: MarkerProfile,
    text: str,
    messages: Sequence[Mapping[str, Any]] | None,
    guarded_texts: tuple[str, ...],
) -> MeasuredText:
    """Encode `text` after `messages`. Uses the tokenizer: one thread at a time.

    Raises:
        PromptError: the chat template rejects the messages.
        BadRequestError: the text has no token, or a token that is a marker; or there are no
            messages, and the model has no token that begins a text.
    """
    token_ids = encode_plain(tokenizer, text, guarded_texts=guarded_texts, begins=messages is None)
    if not token_ids:
        raise _text_error("has no token")
    _check_has_no_marker(token_ids, profile)
    known = get_token_bytes(tokenizer)
    pieces = tuple(known.get(token_id, b"") for token_id in token_ids)
    if messages is None:
        start = tuple(_require_text_start(tokenizer))
        return MeasuredText(start, None, tuple(token_ids), pieces)
    opening = tuple(render_prompt(tokenizer, messages, guarded_texts=guarded_texts))
    prompt = opening + profile.no_thought_token_ids
    return MeasuredText(prompt, opening, tuple(token_ids), pieces)


def _require_text_start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that begin a text: the first token's probability needs one before it."""
    if start := find_text_start(tokenizer):
        return start
    message = "messages is required: this model has no token that begins a text"
    raise BadRequestError(message, param="messages", code="missing_field")


def _check_has_no_marker(token_ids: Sequence[int], profile: MarkerProfile) -> None:
    """Raise BadRequestError if a token is a marker: it would look like the model's own marker."""
    markers = (profile.start_token_ids, profile.end_token_ids)
    single = {marker[0] for marker in markers if len(marker) == 1}
    for index, token_id in enumerate(token_ids):
        if token_id in single:
            raise _text_error(f"its token {index} is one of this model's thinking markers")


def _text_error(reason: str) -> BadRequestError:
    return BadRequestError(f"text: {reason}", param="text", code="invalid_value")
