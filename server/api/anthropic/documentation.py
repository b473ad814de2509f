"""OpenAPI documentation of Anthropic's endpoints. Reads no request."""

from typing import Any

from pydantic import BaseModel

from server.api.openapi import add_schemas, document_chat

_INTEGER = {"type": "integer"}
_STRING_OR_NULL = {"type": ["string", "null"]}
_STOP_REASONS = [
    *("end_turn", "max_tokens", "stop_sequence", "tool_use"),
    "model_context_window_exceeded",
]
_RECEIPT = {"$ref": "#/components/schemas/Receipt"}
_SCHEMAS: dict[str, Any] = {
    "AnthropicError": {
        "type": "object",
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                "required": ["type", "message"],
            },
            "request_id": _STRING_OR_NULL,
        },
        "required": ["type", "error"],
    },
    "AnthropicMessage": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"type": "string"},
            "content": {
                "type": "array",
                "description": "Blocks: thinking or redacted_thinking, text, tool_use.",
                "items": {"type": "object"},
            },
            "stop_reason": {"enum": _STOP_REASONS},
            "stop_sequence": _STRING_OR_NULL,
            "usage": {
                "type": "object",
                "properties": {
                    "input_tokens": _INTEGER,
                    "output_tokens": _INTEGER,
                    "output_tokens_details": {
                        "type": "object",
                        "properties": {"thinking_tokens": _INTEGER},
                    },
                    "cache_creation_input_tokens": {"const": 0},
                    "cache_read_input_tokens": _INTEGER,
                },
            },
            "context_management": {
                "type": "object",
                "description": "With `context_management` in the request: what it cleared.",
                "properties": {"applied_edits": {"type": "array", "items": {"type": "object"}}},
            },
            "thinking": _RECEIPT,
        },
    },
    "TokenCount": {
        "type": "object",
        "properties": {
            "input_tokens": _INTEGER,
            "context_management": {
                "type": "object",
                "properties": {"original_input_tokens": _INTEGER},
            },
        },
    },
}
add_schemas(_SCHEMAS)


def document_messages(body: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of ``/v1/messages``."""
    return document_chat(body, "AnthropicMessage", "AnthropicError")


def document_token_count(body: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of ``/v1/messages/count_tokens``."""
    documentation = document_chat(body, "TokenCount", "AnthropicError")
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/TokenCount"}}}
    documentation["responses"]["200"] = {"description": "The token count.", "content": answer}
    return documentation
