"""Encodes plain prompts and checks token ids against the model's vocabulary."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from server.errors.api import BadRequestError
from server.prompt.conversation import PlainPrompt
from server.prompt.rendering import encode_document, encode_plain, find_text_start


def encode_plain_prompt(
    prompt: PlainPrompt,
    tokenizer: PreTrainedTokenizerBase,
    vocab_size: int,
    guarded_texts: tuple[str, ...],
) -> Sequence[int]:
    """Return the token ids of `prompt`. Uses the tokenizer, so only one thread may call it.

    Raises:
        BadRequestError: an id is not in the model's vocabulary.
    """
    content = prompt.content
    if not isinstance(content, str):
        check_token_ids(content, vocab_size, prompt.field)
        return content
    if prompt.begins:
        return encode_document(tokenizer, content, guarded_texts)
    return encode_plain(tokenizer, content, guarded_texts=guarded_texts, begins=True)


def find_start_token_ids(prompt: PlainPrompt, tokenizer: PreTrainedTokenizerBase) -> Sequence[int]:
    """Return the token ids that stand for an empty prompt, since a model needs at least one.

    Raises:
        BadRequestError: the model has no token that begins a text, or the caller excluded it.
    """
    token_ids = find_text_start(tokenizer) if prompt.begins else []
    if not token_ids:
        message = f"{prompt.field}: is empty, and no token that begins a text is added to it"
        raise BadRequestError(message, param=prompt.field, code="invalid_value")
    return token_ids


def check_token_ids(token_ids: Sequence[int], vocab_size: int, field: str) -> None:
    """Raise BadRequestError if an id is not in the model's vocabulary."""
    for place, token_id in enumerate(token_ids):
        if not 0 <= token_id < vocab_size:
            path = f"{field}[{place}]"
            raise BadRequestError(
                f"{path}: should be a token id from 0 to {vocab_size - 1}",
                param=path,
                code="invalid_value",
            )
