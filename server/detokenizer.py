"""Token ids to text, as they come.

Special tokens give no text; bytes that are not yet a whole character are held back. A
choice cut inside a character ends before it. Knows nothing of thoughts.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase


class Detokenizer:
    """One stream of tokens; what has been returned is never taken back."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def push(self, token_ids: Iterable[int]) -> str:
        """Text that these tokens complete; ids that the tokenizer lacks give none."""
        return "".join(self._step(token_id) for token_id in token_ids)

    def _step(self, token_id: int) -> str:
        try:
            return self._stream.step(self._backend, token_id) or ""
        except Exception as error:
            # The library's plain Exception: a decoder whose text of the tokens so far
            # is no prefix of the text with this one. Start anew at this token.
            if "prefix" not in str(error).lower():
                raise
        self._stream = DecodeStream(skip_special_tokens=True)
        return self._stream.step(self._backend, token_id) or ""
