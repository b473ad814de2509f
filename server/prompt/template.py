"""Finds out what a model's chat template reads.

A template is a Jinja program that ignores unknown arguments. A caller's arguments are therefore
checked against the template's variables here, so that none is silently ignored. Does not render
prompts.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import PreTrainedTokenizerBase

from server.errors.internal import PromptError
from thinking.budget import BudgetRequest, Effort

KWARGS = "chat_template_kwargs"
# Text in a template that shows that it reads the thought of a message, and the field that it reads:
# for most models, and for gpt-oss.
_THOUGHT_FIELDS = (("reasoning_content", "reasoning_content"), ("message.thinking", "thinking"))
# Set by this server or by transformers.
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


def find_template_variables(tokenizer: PreTrainedTokenizerBase) -> frozenset[str]:
    """Return the variables that the tokenizer's chat template reads."""
    return _find_variables(str(tokenizer.chat_template or ""))


def check_template_kwargs(tokenizer: PreTrainedTokenizerBase, kwargs: Mapping[str, Any]) -> None:
    """Raise PromptError if the template would ignore one of the caller's `kwargs`."""
    known = find_template_variables(tokenizer) - _NOT_THE_CALLERS
    for name in kwargs:
        if name not in known:
            shown = ", ".join(sorted(known)) or "none"
            raise PromptError(
                f"{KWARGS}.{name}",
                f"this model's chat template does not read it (it reads: {shown})",
            )


def rename_thoughts(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return `messages` with earlier thoughts in the field that the template reads.

    The template decides which of them it keeps. If it reads no thoughts, they are removed.
    """
    source = str(tokenizer.chat_template or "")
    name = next((name for text, name in _THOUGHT_FIELDS if text in source), None)
    return [_with_thought(message, name) for message in messages]


def _with_thought(message: dict[str, Any], name: str | None) -> dict[str, Any]:
    thought = message.get("reasoning_content")
    rest = {key: value for key, value in message.items() if key != "reasoning_content"}
    return rest | {name: thought} if name and thought else rest


def adapt_contents(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return `messages` with contents in the form that the template reads: text or parts.

    Raises:
        PromptError: there are images, but the template does not support them.
    """
    reads_texts, reads_parts = _probe_content_forms(tokenizer)
    has_images = any(isinstance(message["content"], list) for message in messages)
    if has_images and not (reads_parts and "image" in str(tokenizer.chat_template)):
        raise PromptError("messages", "this model's chat template does not support images")
    if reads_texts or not reads_parts:
        return list(messages)
    return [
        message | {"content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]


@lru_cache(maxsize=4)
def _probe_content_forms(tokenizer: PreTrainedTokenizerBase) -> tuple[bool, bool]:
    """Return whether the template renders a text content, and a list of parts, as the text."""
    probe = "Probe7"
    forms: tuple[Any, Any] = (probe, [{"type": "text", "text": probe}])
    return (_can_render(tokenizer, forms[0], probe), _can_render(tokenizer, forms[1], probe))


def _can_render(tokenizer: PreTrainedTokenizerBase, content: Any, probe: str) -> bool:
    message = {"role": "user", "content": content}
    try:
        text = str(tokenizer.apply_chat_template([message], tokenize=False))
    except Exception:  # a template is a program of the model and may raise any error
        return False
    return probe in text and "{" not in text.replace("{{", "")


def select_thinking_hints(
    tokenizer: PreTrainedTokenizerBase, request: BudgetRequest
) -> dict[str, Any]:
    """Return template arguments that pass the requested effort or budget to the model.

    For example, gpt-oss reads the effort and Seed-OSS the budget. Only values that the request
    sets explicitly are passed; the sampler enforces the budget in any case.
    """
    hints: dict[str, Any] = {}
    if request.effort not in (None, Effort.NONE):
        assert request.effort is not None
        hints["reasoning_effort"] = request.effort.value
    if request.max_thinking_tokens:
        hints["thinking_budget"] = request.max_thinking_tokens
    names = find_template_variables(tokenizer)
    return {name: value for name, value in hints.items() if name in names}


@lru_cache(maxsize=8)
def _find_variables(template: str) -> frozenset[str]:
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(_GENERATION_TAG.sub("", template))
    except TemplateError:  # rendering will fail as well, and reports the error
        return frozenset()
    names = meta.find_undeclared_variables(tree)
    return frozenset(names - environment.globals.keys() - _OF_TRANSFORMERS)


# Transformers' own tag around the text of an assistant.
_GENERATION_TAG = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
_OF_TRANSFORMERS = {"raise_exception", "strftime_now"}
