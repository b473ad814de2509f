"""What a text completion looks like, for the OpenAPI document."""

from typing import Any

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
    "Completion": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "text_completion"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "index": {"type": "integer"},
                        "text": {"type": "string"},
                        "reasoning": {"type": "string"},
                        "reasoning_content": {"type": "string"},
                        "logprobs": _LISTS,
                        "finish_reason": {"enum": ["stop", "length"]},
                        "thinking": {"$ref": "#/components/schemas/Receipt"},
                    },
                },
            },
            "usage": {"type": "object"},
        },
    },
}
