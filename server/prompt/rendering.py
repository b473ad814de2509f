"""Renders a conversation to prompt token ids.

The template's control tokens are parsed; the same text typed by a user stays text. It
does not know requests nor HTTP: what is wrong with the messages is a PromptError.

How forging is prevented: in every string of the caller a mark (random private-use
characters) is put between the first and the second character of each occurrence of a
control token's text. The template is rendered with the marks, and the result is cut at
them and encoded piece by piece, so no piece holds a whole control token of the
caller's. Not covered: tokens of one character, and tokens of white space, which text is
full of and which control nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from server.errors.internal import PromptError
from server.prompt.forgery import ForgeryGuard
from server.prompt.messages import plain_messages
from server.prompt.template import contents_as_read, thoughts_as_read
from thinking.markers.fragments import FragmentEncoder
from thinking.markers.template_probe import THINKING_TEMPLATE_KWARGS

# Of `apply_chat_template`: ours to set, or a way to run a template of the caller's.
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
    marker_texts: tuple[str, ...] = (),
    **template_kwargs: Any,
) -> list[int]:
    """Prompt ids of `messages` (OpenAI's form) under the model's chat template.

    Without control tokens in the messages these are the ids of
    ``tokenizer.apply_chat_template(messages, tokenize=True)`` with thinking switched on.
    `marker_texts` are guarded like control tokens: an operator's own markers.
    `template_kwargs` (``tools``, ``add_generation_prompt``, …) go to the template.

    Raises:
        PromptError: no template, or the messages or arguments do not suit it.
    """
    if tokenizer.chat_template is None:
        raise PromptError(
            None,
            "this model has no chat template; use the completions endpoint, or serve it "
            "from a folder with a chat_template.jinja",
        )
    if reserved := _RESERVED_KWARGS.intersection(template_kwargs):
        raise PromptError(sorted(reserved)[0], "cannot be passed to the chat template")
    guard, encoder = _tools_for(tokenizer, marker_texts)
    mark = _new_mark()
    plain = plain_messages(messages, knows_developer=_knows_developer(tokenizer))
    plain = contents_as_read(tokenizer, thoughts_as_read(tokenizer, plain))
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
    marker_texts: tuple[str, ...] = (),
    begins: bool,
) -> list[int]:
    """Token ids of a caller's `text`; a control token written in it stays text.

    `begins`: it is the start of a whole text, which a tokenizer may treat specially.
    """
    guard, encoder = _tools_for(tokenizer, marker_texts)
    mark = _new_mark()
    pieces = guard.split(guard.mark_text(text, mark), mark)
    if begins:
        return _encode(encoder, pieces)
    return [token_id for piece_ids in encoder.encode_many(pieces) for token_id in piece_ids]


def encode_document(
    tokenizer: PreTrainedTokenizerBase, text: str, marker_texts: tuple[str, ...] = ()
) -> list[int]:
    """Token ids of `text` as a document of its own, with what the tokenizer puts before one."""
    token_ids = encode_plain(tokenizer, text, marker_texts=marker_texts, begins=True)
    return own_start(tokenizer) + token_ids


def start_of_text(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What stands before a text: the tokenizer's own start, else what is between two texts."""
    if own := own_start(tokenizer):
        return own
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return [int(token_id)]
    return []


def own_start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer itself puts before every text."""
    own = list(tokenizer("").input_ids)
    if own and own[-1] == tokenizer.eos_token_id and own[-1] != tokenizer.bos_token_id:
        own.pop()  # put behind a text
    return own


@lru_cache(maxsize=4)
def _tools_for(
    tokenizer: PreTrainedTokenizerBase, marker_texts: tuple[str, ...]
) -> tuple[ForgeryGuard, FragmentEncoder]:
    """Made once for a tokenizer; a server has one."""
    return ForgeryGuard(tokenizer, marker_texts), FragmentEncoder(tokenizer)


def _new_mark() -> str:
    """Eight private-use characters that nobody can guess."""
    return "".join(chr(0xE000 + secrets.randbelow(0x1900)) for _ in range(8))


def _knows_developer(tokenizer: PreTrainedTokenizerBase) -> bool:
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
    # A template is a program that comes with the model: it may raise anything, and what
    # it raises is about these messages.
    except Exception as error:
        problem = str(error).replace(mark, "") or type(error).__name__
        raise PromptError(
            "messages", f"the model's chat template refuses them: {problem}"
        ) from error


def _encode(encoder: FragmentEncoder, pieces: list[str]) -> list[int]:
    """The first piece as the start of a text, the others as its middle."""
    ids = list(encoder.encode_start(pieces[0]))
    for piece_ids in encoder.encode_many(pieces[1:]):
        ids += piece_ids
    return ids
