"""OpenAPI schema of a text completion. Writes no reply."""

from typing import Any

from server.api.openapi import build_completion_schema

_LISTS = {
    "type": ["object", "null"],
    "properties": {
        "tokens": {"type": "array", "items": {"type": "string"}},
        "token_logprobs": {"type": "array", "items": {"type": ["number", "null"]}},
        "top_logprobs": {"type": "array", "items": {"type": ["object", "null"]}},
        "text_offset": {"type": "array", "items": {"type": "integer"}},
    },
}
SCHEMAS: dict[str, Any] = {
    "Completion": build_completion_schema(
        "text_completion",
        {
            "text": {"type": "string"},
            "reasoning": {"type": "string"},
            "reasoning_content": {"type": "string"},
            "logprobs": _LISTS,
            "finish_reason": {"enum": ["stop", "length"]},
        },
    ),
}
