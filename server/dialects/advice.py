"""Names that no server reads, but that clients send: what to write instead."""

from collections.abc import Mapping
from types import MappingProxyType

_USE_COUNT = "use 'max_thinking_tokens'"
_USE_THINKING = "use 'thinking' with 'type' and 'budget_tokens', or 'max_thinking_tokens'"

# Name → what to write here.
WRONG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "thinking_tokens": _USE_COUNT,
        "reasoning_budget": _USE_COUNT,
        "reasoning_tokens": _USE_COUNT,
        "max_reasoning_tokens": _USE_COUNT,
        "budget_tokens": _USE_THINKING,
        "effort": "use 'reasoning_effort'",
        "think_stop_sentence": "use 'thinking_options.wrap_up'",
        "thinkingConfig": "it belongs into 'generationConfig'",
        "includeThoughts": "use 'include_reasoning'",
        "extra_body": "its fields belong at the top level of the body",
    }
)
