"""Fields that the objects of chat and text completions share. Knows no choices."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.choice.delta import ChoiceResult, count_cached_tokens, to_cost_field


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """Leading fields of all objects of one reply."""

    reply_id: str
    model_name: str
    num_prompt_tokens: int
    created: int = field(default_factory=lambda: int(time.time()))

    def to_dict(self, kind: str) -> dict[str, Any]:
        """Return the leading fields of an object of type `kind`."""
        return {
            "id": self.reply_id,
            "object": kind,
            "created": self.created,
            "model": self.model_name,
        }


def to_usage(num_prompt_tokens: int, results: Sequence[ChoiceResult]) -> dict[str, Any]:
    """Return the tokens of all choices; the prompt counts once. ``completion ⊇ reasoning``."""
    num_reasoning = sum(result.num_reasoning for result in results)
    num_completion = num_reasoning + sum(result.num_answer for result in results)
    return {
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": num_completion,
        "total_tokens": num_prompt_tokens + num_completion,
        "prompt_tokens_details": {"cached_tokens": count_cached_tokens(results)},
        "completion_tokens_details": {"reasoning_tokens": num_reasoning},
        **to_cost_field(results),
    }
