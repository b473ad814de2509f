"""Renders a conversation to prompt token ids.

Control tokens of the template are parsed; the same text in a user's message stays text. Knows
neither requests nor HTTP; invalid messages raise a PromptError.

How forging is prevented: in every string of the caller, a mark (random private-use characters) is
inserted after the first character of each occurrence of a control token's text. The template is
rendered with the marks; the result is split at them and encoded piece by piece, so that no piece
contains a complete control token of the caller. Not covered are tokens of a single character or of
whitespace, which are frequent in text and control nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from server.errors.internal import PromptError
from server.prompt.forgery import ForgeryGuard, make_mark
from server.prompt.messages import normalize_messages
from server.prompt.template import adapt_contents, rename_thoughts
from thinking.markers.fragments import FragmentEncoder
from thinking.markers.template_probe import THINKING_TEMPLATE_KWARGS

# Arguments of `apply_chat_template` that we set, or that would run a template of the caller.
_RESERVED_KWARGS = frozenset(
    {
        "chat_template",
        "conversation",
        "max_length",
        "messages",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer_kwargs",
        "truncation",
    }
)


def render_prompt(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    *,
    guarded_texts: tuple[str, ...] = (),
    **template_kwargs: Any,
) -> list[int]:
    """Render `messages` (OpenAI's format) with the model's chat template to prompt token ids.

    For messages without control tokens the result equals
    ``tokenizer.apply_chat_template(messages, tokenize=True)`` with thinking enabled.
    `guarded_texts`, the operator's own markers, are guarded like control tokens.
    `template_kwargs` (``tools``, ``add_generation_prompt``, …) are passed to the template.

    Raises:
        PromptError: the model has no template, or it rejects the messages or arguments.
    """
    if tokenizer.chat_template is None:
        raise PromptError(
            None,
            "this model has no chat template; use the completions endpoint, or serve the model "
            "from a folder with a chat_template.jinja",
        )
    if reserved := _RESERVED_KWARGS.intersection(template_kwargs):
        raise PromptError(sorted(reserved)[0], "cannot be passed to the chat template")
    guard, encoder = _get_encoding_tools(tokenizer, guarded_texts)
    mark = make_mark()
    plain = normalize_messages(messages, knows_developer=_has_developer_role(tokenizer))
    plain = adapt_contents(tokenizer, rename_thoughts(tokenizer, plain))
    text = _render(
        tokenizer,
        [guard.mark_message(message, mark) for message in plain],
        guard.mark_value(template_kwargs, mark),
        mark,
    )
    return _encode(encoder, guard.split(text, mark))


def encode_plain(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    guarded_texts: tuple[str, ...] = (),
    begins: bool,
) -> list[int]:
    """Return the token ids of a caller's `text`; control tokens in it stay text.

    `begins`: `text` is the start of a document, which a tokenizer may treat specially.
    """
    guard, encoder = _get_encoding_tools(tokenizer, guarded_texts)
    pieces = guard.cut_text(text)
    if begins:
        return _encode(encoder, pieces)
    return [token_id for piece_ids in encoder.encode_many(pieces) for token_id in piece_ids]


def encode_document(
    tokenizer: PreTrainedTokenizerBase, text: str, guarded_texts: tuple[str, ...] = ()
) -> list[int]:
    """Return the token ids of `text` as a document, with the tokenizer's start tokens."""
    token_ids = encode_plain(tokenizer, text, guarded_texts=guarded_texts, begins=True)
    return get_own_start(tokenizer) + token_ids


def find_text_start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that begin a text: the tokenizer's own, else its BOS or EOS token."""
    if own := get_own_start(tokenizer):
        return own
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return [int(token_id)]
    return []


def get_own_start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that the tokenizer itself puts before every text."""
    own = list(tokenizer("").input_ids)
    if own and own[-1] == tokenizer.eos_token_id and own[-1] != tokenizer.bos_token_id:
        own.pop()  # the tokenizer appends it to a text
    return own


@lru_cache(maxsize=4)
def _get_encoding_tools(
    tokenizer: PreTrainedTokenizerBase, guarded_texts: tuple[str, ...]
) -> tuple[ForgeryGuard, FragmentEncoder]:
    """Create guard and encoder once per tokenizer; a server has one tokenizer."""
    return ForgeryGuard(tokenizer, guarded_texts), FragmentEncoder(tokenizer)


def _has_developer_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    return "developer" in str(tokenizer.chat_template)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    kwargs: dict[str, Any],
    mark: str,
) -> str:
    continues = bool(kwargs.get("continue_final_message"))
    defaults = {**THINKING_TEMPLATE_KWARGS, "add_generation_prompt": not continues}
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **(defaults | kwargs)))
    # A template is a program that comes with the model. It may raise any error, and the error
    # concerns these messages.
    except Exception as error:
        problem = str(error).replace(mark, "") or type(error).__name__
        raise PromptError(
            "messages", f"the model's chat template rejects them: {problem}"
        ) from error


def _encode(encoder: FragmentEncoder, pieces: list[str]) -> list[int]:
    """Encode the first piece as the start of a text and the others as continuations."""
    ids = list(encoder.encode_start(pieces[0]))
    for piece_ids in encoder.encode_many(pieces[1:]):
        ids += piece_ids
    return ids
