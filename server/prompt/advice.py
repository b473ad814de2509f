"""Advice on prompts for models that think, given in the receipt.

Implements two rules of OpenAI's "Reasoning best practices" (https://platform.openai.com/docs/guides/
reasoning-best-practices, read 2026-11): avoid chain-of-thought prompts; limit additional context.
Never changes the prompt. Does not know tokens; it counts characters.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Phrases that instruct a model to think, which it does anyway.
_STEP_BY_STEP = re.compile(
    r"\b(?:think|reason|work)(?:ing)?\b[^.\n]{0,40}?\bstep[ -]by[ -]step\b"
    r"|\blet'?s think\b"
    r"|\bchain[ -]of[ -]thought\b"
    r"|\bexplain your (?:reasoning|thinking)\b",
    re.IGNORECASE,
)
# A few thousand tokens, and far more than the question.
MIN_CONTEXT_CHARACTERS = 16_000
CONTEXT_PER_QUESTION = 50

STEP_BY_STEP = (
    "the prompt asks the model to think step by step; this model always thinks before it answers, "
    "and the instruction can make its thinking worse: omit it"
)
LARGE_CONTEXT = (
    "the context is far longer than the question; omit what the answer does not need: irrelevant "
    "context can distract a model that thinks"
)


def advise_on_prompt(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return advice on a conversation in OpenAI's format."""
    # The client cannot reword messages of the assistant or of tools.
    asked = [_get_text(m) for m in messages if m.get("role") in ("system", "developer", "user")]
    if not asked:
        return ()
    *_, question = asked
    num_context = sum(len(_get_text(message)) for message in messages) - len(question)
    advice = []
    if any(_STEP_BY_STEP.search(text) for text in asked):
        advice.append(STEP_BY_STEP)
    if num_context >= max(MIN_CONTEXT_CHARACTERS, CONTEXT_PER_QUESTION * len(question)):
        advice.append(LARGE_CONTEXT)
    return tuple(advice)


def _get_text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)
