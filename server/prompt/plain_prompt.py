"""A plain prompt as token ids, checked against the model's vocabulary."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from server.errors.api import BadRequestError
from server.prompt.conversation import PlainPrompt
from server.prompt.rendering import encode_document, encode_plain, start_of_text


def plain_token_ids(
    prompt: PlainPrompt,
    tokenizer: PreTrainedTokenizerBase,
    vocab_size: int,
    marker_texts: tuple[str, ...],
) -> Sequence[int]:
    """The ids. Uses the tokenizer: one thread at a time.

    Raises:
        BadRequestError: an id that the model lacks.
    """
    content = prompt.content
    if not isinstance(content, str):
        check_token_ids(content, vocab_size, prompt.field)
        return content
    if prompt.begins:
        return encode_document(tokenizer, content, marker_texts)
    return encode_plain(tokenizer, content, marker_texts=marker_texts, begins=True)


def beginning(prompt: PlainPrompt, tokenizer: PreTrainedTokenizerBase) -> Sequence[int]:
    """What an empty prompt is to a model, which needs some token to go on from.

    Raises:
        BadRequestError: no token of this model begins a text, or none is wanted.
    """
    token_ids = start_of_text(tokenizer) if prompt.begins else []
    if not token_ids:
        message = f"{prompt.field}: has no token, and nothing that begins a text is put before it"
        raise BadRequestError(message, param=prompt.field, code="invalid_value")
    return token_ids


def check_token_ids(token_ids: Sequence[int], vocab_size: int, field: str) -> None:
    """Raise BadRequestError where one is no id of the model."""
    for place, token_id in enumerate(token_ids):
        if not 0 <= token_id < vocab_size:
            path = f"{field}[{place}]"
            raise BadRequestError(
                f"{path}: should be a token id from 0 to {vocab_size - 1}",
                param=path,
                code="invalid_value",
            )
