"""Renders a dummy conversation with a chat template, to find where it opens a thought.

Reads the rendered text only. A template that fails or is missing opens no thought.
"""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

# Switch thinking on in templates that can switch it; others ignore these names.
THINKING_TEMPLATE_KWARGS: dict[str, Any] = {
    "enable_thinking": True,
    "thinking": True,
    "thinking_mode": "enabled",  # MiniMax-M3
}
_NOT_THINKING_KWARGS: dict[str, Any] = {
    "enable_thinking": False,
    "thinking": False,
    "thinking_mode": "disabled",
}


@dataclass(frozen=True, slots=True)
class TemplateProbe:
    """End of a rendered prompt, as far as thoughts are concerned."""

    opens_thought: bool = False
    # White space after the start marker with which the template opens the thought.
    after_start: str = ""
    # Text that the template adds to the prompt if thinking is switched off; None: unknown.
    no_thought: str | None = None


def probe_template(tokenizer: PreTrainedTokenizerBase, start: str, end: str) -> TemplateProbe:
    """Render the template with thinking on and off, and compare the results."""
    prompt = _render(tokenizer, THINKING_TEMPLATE_KWARGS)
    if prompt is None:
        return TemplateProbe()
    after_start = _find_after_start(prompt, start)
    return TemplateProbe(
        opens_thought=after_start is not None,
        after_start=after_start or "",
        no_thought=_find_closing_text(
            _render_reply_header(tokenizer, THINKING_TEMPLATE_KWARGS),
            _render_reply_header(tokenizer, _NOT_THINKING_KWARGS),
            end,
        ),
    )


def _find_after_start(prompt: str, start: str) -> str | None:
    """Return the white space after the start marker at the end of `prompt`; None if it has none."""
    bare = start.rstrip()
    if not bare or not prompt.rstrip().endswith(bare):
        return None
    return prompt[prompt.rindex(bare) + len(bare) :].removeprefix(start[len(bare) :])


def _find_closing_text(header: str | None, other: str | None, end: str) -> str | None:
    """Return what `other` adds to `header`, if that is an empty thought or the end of one."""
    if header is None or other is None or not other.startswith(header):
        return None
    added = other[len(header) :]
    return added if end.strip() and end.strip() in added else None


def _render_reply_header(tokenizer: PreTrainedTokenizerBase, kwargs: dict[str, Any]) -> str | None:
    """Render the text that the template puts between the messages and the reply.

    Two whole prompts cannot be compared, as a switch may also change the messages (GLM-4.6
    writes into the user's message, Gemma 4 into the system's).
    """
    prompt = _render(tokenizer, kwargs)
    messages = _render(tokenizer, kwargs, add_generation_prompt=False)
    if prompt is None or messages is None or not prompt.startswith(messages):
        return prompt
    return prompt.removeprefix(messages)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    kwargs: dict[str, Any],
    *,
    add_generation_prompt: bool = True,
) -> str | None:
    if tokenizer.chat_template is None:
        return None
    try:
        return str(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": "Hello"}],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **kwargs,
            )
        )
    except Exception:  # a template is a program that may raise anything
        return None
