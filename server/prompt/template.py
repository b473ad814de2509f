"""What a model's chat template reads besides the messages.

A template is a Jinja program that ignores what it does not know: so that a caller's argument
is never ignored, it is looked for here first. Renders nothing.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import PreTrainedTokenizerBase

from server.errors.internal import PromptError
from thinking.budget import BudgetAsk, Effort

KWARGS = "chat_template_kwargs"
# How a template that reads the thought of a message betrays it, and its name there: most
# models', and gpt-oss's.
_THOUGHT_FIELDS = (("reasoning_content", "reasoning_content"), ("message.thinking", "thinking"))
# Set by us, or by transformers itself.
_NOT_THE_CALLERS = frozenset(
    {
        "messages",
        "tools",
        "add_generation_prompt",
        "bos_token",
        "eos_token",
        "pad_token",
        "unk_token",
    }
)


def template_names(tokenizer: PreTrainedTokenizerBase) -> frozenset[str]:
    """The variables that the tokenizer's chat template reads."""
    return _names_in(str(tokenizer.chat_template or ""))


def check_template_kwargs(tokenizer: PreTrainedTokenizerBase, kwargs: Mapping[str, Any]) -> None:
    """Raise PromptError where the template would ignore one of the caller's `kwargs`."""
    known = template_names(tokenizer) - _NOT_THE_CALLERS
    for name in kwargs:
        if name not in known:
            shown = ", ".join(sorted(known)) or "none"
            raise PromptError(
                f"{KWARGS}.{name}",
                f"this model's chat template does not read it (it reads: {shown})",
            )


def thoughts_as_read(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """`messages` with earlier thoughts under the name that the template reads them by.

    Which of them it keeps is the template's to say; one that reads none gets none.
    """
    source = str(tokenizer.chat_template or "")
    name = next((name for text, name in _THOUGHT_FIELDS if text in source), None)
    return [_with_thought(message, name) for message in messages]


def _with_thought(message: dict[str, Any], name: str | None) -> dict[str, Any]:
    thought = message.get("reasoning_content")
    rest = {key: value for key, value in message.items() if key != "reasoning_content"}
    return rest | {name: thought} if name and thought else rest


def contents_as_read(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """`messages` with contents as the template reads them: texts, or lists of parts.

    Raises:
        PromptError: there are images, and the template knows none.
    """
    reads_texts, reads_parts = _content_forms(tokenizer)
    has_images = any(isinstance(message["content"], list) for message in messages)
    if has_images and not (reads_parts and "image" in str(tokenizer.chat_template)):
        raise PromptError("messages", "this model's chat template has no place for images")
    if reads_texts or not reads_parts:
        return list(messages)
    return [
        message | {"content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]


@lru_cache(maxsize=4)
def _content_forms(tokenizer: PreTrainedTokenizerBase) -> tuple[bool, bool]:
    """Whether a text, and whether a list of parts, comes out as that text."""
    probe = "Probe7"
    forms: tuple[Any, Any] = (probe, [{"type": "text", "text": probe}])
    return (_renders(tokenizer, forms[0], probe), _renders(tokenizer, forms[1], probe))


def _renders(tokenizer: PreTrainedTokenizerBase, content: Any, probe: str) -> bool:
    message = {"role": "user", "content": content}
    try:
        text = str(tokenizer.apply_chat_template([message], tokenize=False))
    except Exception:  # a template is a program of the model's; what it raises is its own
        return False
    return probe in text and "{" not in text.replace("{{", "")


def thinking_hints(tokenizer: PreTrainedTokenizerBase, ask: BudgetAsk) -> dict[str, Any]:
    """What a request asks of thinking, for templates that tell it to the model.

    gpt-oss is told its effort so, Seed-OSS its budget. Only what was asked for in so many
    words; the sampler holds the budget in any case.
    """
    hints: dict[str, Any] = {}
    if ask.effort not in (None, Effort.NONE):
        assert ask.effort is not None
        hints["reasoning_effort"] = ask.effort.value
    if ask.max_thinking_tokens:
        hints["thinking_budget"] = ask.max_thinking_tokens
    names = template_names(tokenizer)
    return {name: value for name, value in hints.items() if name in names}


@lru_cache(maxsize=8)
def _names_in(template: str) -> frozenset[str]:
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(_GENERATION_TAG.sub("", template))
    except TemplateError:  # it cannot be rendered either: that is said where it is tried
        return frozenset()
    names = meta.find_undeclared_variables(tree)
    return frozenset(names - environment.globals.keys() - _OF_TRANSFORMERS)


# Transformers' own tag, around what an assistant says.
_GENERATION_TAG = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
_OF_TRANSFORMERS = {"raise_exception", "strftime_now"}
