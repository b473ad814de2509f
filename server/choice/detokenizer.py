"""Incremental detokenisation.

Special tokens have no text, except for the requested ones; bytes that are not yet a whole
character are held back. A choice cut inside a character ends before it. Knows nothing of
thoughts.
"""

from collections.abc import Collection, Iterable, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase

# Tokens before a stream that its first tokens may depend on: more than a character has.
MAX_CONTEXT = 8


class Detokenizer:
    """The text of one stream of tokens; text that was returned is never taken back.

    `after` are the tokens that the stream continues: they decide about a space at its start, and
    may end inside a character. `shown_special` are the special tokens that have a text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        after: Sequence[int] = (),
        shown_special: Collection[int] = (),
    ) -> None:
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._hidden: frozenset[int] = frozenset()
        if shown_special:
            added = tokenizer.added_tokens_decoder.items()
            special = (token_id for token_id, token in added if token.special)
            self._hidden = frozenset(special).difference(shown_special)
        self._skips_special = not shown_special
        self._stream = self._new_stream()
        self.push(after[-MAX_CONTEXT:])

    def push(self, token_ids: Iterable[int]) -> str:
        """Return the text that these tokens complete; ids that the tokenizer lacks have none."""
        return "".join([self._step(i) for i in token_ids if i not in self._hidden])

    def _step(self, token_id: int) -> str:
        try:
            return self._stream.step(self._backend, token_id) or ""
        except Exception as error:
            # The library's plain Exception: a decoder whose text of the tokens so far
            # is no prefix of the text with this one. Start anew at this token.
            if "prefix" not in str(error).lower():
                raise
        self._stream = self._new_stream()
        return self._stream.step(self._backend, token_id) or ""

    def _new_stream(self) -> DecodeStream:
        return DecodeStream(skip_special_tokens=self._skips_special)
