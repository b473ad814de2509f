"""What a receipt tells a client of its prompt, where the model thinks: few rules, no more.

After OpenAI's "Reasoning best practices" (https://platform.openai.com/docs/guides/
reasoning-best-practices, read 2026-11): avoid chain-of-thought prompts; limit additional
context. The text is never changed. Does not know tokens: characters will do.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What asks a model to do what it does anyway.
_STEP_BY_STEP = re.compile(
    r"\b(?:think|reason|work)(?:ing)?\b[^.\n]{0,40}?\bstep[ -]by[ -]step\b"
    r"|\blet'?s think\b"
    r"|\bchain[ -]of[ -]thought\b"
    r"|\bexplain your (?:reasoning|thinking)\b",
    re.IGNORECASE,
)
# A few thousand tokens, and far more than what is asked.
MIN_CONTEXT_CHARACTERS = 16_000
CONTEXT_PER_QUESTION = 50

STEP_BY_STEP = (
    "the prompt asks to think step by step; this model thinks before it answers, so leave that "
    "out: it can only make it think worse"
)
LARGE_CONTEXT = (
    "the context is far longer than the question; leave out what the answer does not need: a "
    "model that thinks may lose itself in it"
)


def prompt_advice(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Advice on a conversation (OpenAI's form) that a model is to think about."""
    # What an assistant or a tool wrote is not the client's to reword.
    asked = [_text(m) for m in messages if m.get("role") in ("system", "developer", "user")]
    if not asked:
        return ()
    *_, question = asked
    num_context = sum(len(_text(message)) for message in messages) - len(question)
    advice = []
    if any(_STEP_BY_STEP.search(text) for text in asked):
        advice.append(STEP_BY_STEP)
    if num_context >= max(MIN_CONTEXT_CHARACTERS, CONTEXT_PER_QUESTION * len(question)):
        advice.append(LARGE_CONTEXT)
    return tuple(advice)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)
