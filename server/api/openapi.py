"""OpenAPI documentation of the request bodies and replies.

Bodies are read by :mod:`server.api.body`, not by the framework, so their schemas are added to the
OpenAPI document here. Reads no request.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from server.api.security_documentation import add_security
from server.dialects.reading import get_thinking_properties

_REF = "#/components/schemas/{model}"
_NULLABLE_INTEGER = {"type": ["integer", "null"]}
_NULLABLE_STRING = {"type": ["string", "null"]}


def build_completion_schema(kind: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a chat or text completion; `choice` holds its choices' own fields."""
    receipt = {"$ref": "#/components/schemas/Receipt"}
    fields = {"index": {"type": "integer"}, **choice, "thinking": receipt}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": kind},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "object", "properties": fields}},
            "usage": {"type": "object"},
        },
    }


_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": _NULLABLE_STRING,
                    "code": _NULLABLE_STRING,
                },
                "required": ["message", "type", "param", "code"],
            }
        },
        "required": ["error"],
    },
    "Receipt": {
        "type": "object",
        "properties": {
            "requested": _NULLABLE_INTEGER,
            "source": {"type": "string"},
            "budget": {"type": "integer"},
            "extended": {
                "type": "integer",
                "description": "Tokens that the caller added to the budget while the reply was "
                "running; only if there are any.",
            },
            "limited_by": _NULLABLE_STRING,
            "used": {"type": "integer"},
            "injected": {"type": "integer"},
            "segments": {"type": "integer"},
            "stop": {"type": "string"},
            "seconds": {"type": "number"},
            "advice": {"type": "array", "items": {"type": "string"}},
            "strategy": {"type": "string", "description": "Only with a search over thoughts."},
            "branches": {
                "type": "integer",
                "description": "Number of whole replies or steps that a search began.",
            },
            "branches_requested": {
                "type": ["integer", "null"],
                "description": "Number of whole replies requested; null for a search by steps.",
            },
            "continued": {
                "type": "integer",
                "description": "Only with `continue_thinking`: tokens of the earlier thought.",
            },
            "sealed": {
                "type": "string",
                "description": "Only with `include: [thinking.sealed]`, of a thought that was cut: "
                "send it as `continue_thinking.sealed` to go on with it.",
            },
            "branches_limited_by": {
                "type": ["string", "null"],
                "description": "Reason for fewer: `vote` (it was decided), `budget`, or the limit "
                "of the budget or the reply; null: nothing limited the search.",
            },
            "turn": {
                "type": "object",
                "description": "Only if the request draws on the budget of a turn: that budget, "
                "what it has used including this choice, and what further requests may use.",
                "properties": {
                    name: {"type": "integer"} for name in ("budget", "used", "remaining")
                },
            },
            "signature": {
                "type": "string",
                "description": "Signature of the choice's row in the ledger, if there is one.",
            },
        },
    },
    "ThinkingProgress": {
        "type": "object",
        "description": "Progress of a hidden thought, in a stream that asks for it with "
        "`stream_options.include_thinking_progress`: `choices[].thinking` of a chunk with an empty "
        "delta, or `thinking` of an event `response.thinking.progress`.",
        "properties": {
            "used": {"type": "integer"},
            "budget": {"type": "integer"},
            "seconds": {"type": "number"},
            "segment": {"type": "integer"},
        },
        "required": ["used", "budget", "seconds", "segment"],
    },
    "ChatCompletion": build_completion_schema(
        "chat.completion",
        {
            "message": {"type": "object"},
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
        },
    ),
    "Response": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "response"},
            "created_at": {"type": "integer"},
            "status": {
                "enum": ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
            },
            "model": {"type": "string"},
            "output": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": "object"},
            "thinking": {"$ref": "#/components/schemas/Receipt"},
        },
    },
}
_ERRORS = {
    "400": "A field is invalid; the message names it and says what is expected.",
    "401": "The API key is missing or invalid.",
    "403": "The key is not allowed to do this, or this server does not show thoughts.",
    "404": "The model does not exist on this server.",
    "408": "The body was sent too slowly.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON.",
    "429": "A quota is used up, or the queue is full; `Retry-After` says when to retry.",
    "503": "The engine is not ready, is shutting down, or has died.",
    "504": "The reply took longer than this server allows.",
}
_documented: dict[str, type[BaseModel]] = {}
# Names of the bodies that may have thinking fields, in any dialect.
_thinking: set[str] = set()


def add_schemas(schemas: Mapping[str, Any]) -> None:
    """Add the schemas of an API's objects to the document."""
    _SCHEMAS.update(schemas)


def document_chat(
    body: type[BaseModel], reply: str = "ChatCompletion", error: str = "Error"
) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a chat endpoint; `reply` and `error` name its schemas."""
    return document_reply(body, reply=reply, error=error)


def document_reply(
    body: type[BaseModel], *, reply: str, error: str, streams: bool = True
) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint whose body may have thinking fields.

    `reply` and `error` are the names of schemas.
    """
    streamed = {"text/event-stream": {"schema": {"type": "string"}}} if streams else {}
    _documented[body.__name__] = body
    _thinking.add(body.__name__)
    return {
        "requestBody": {"required": True, "content": _to_json_content(body.__name__)},
        "responses": {
            "200": {
                "description": "The reply; with `stream`, chunks of it as server-sent events."
                if streams
                else "The reply.",
                "content": _to_json_content(reply) | streamed,
            },
            **{
                status: {"description": text, "content": _to_json_content(error)}
                for status, text in _ERRORS.items()
            },
        },
    }


def document_body(body: type[BaseModel], *, streams: bool = False) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint that reads `body`; the reply has no schema."""
    _documented[body.__name__] = body
    kinds = ["application/json", "text/event-stream"] if streams else ["application/json"]
    reply = {"description": "The reply.", "content": {kind: {"schema": {}} for kind in kinds}}
    return {
        "requestBody": {"required": True, "content": _to_json_content(body.__name__)},
        "responses": {"200": reply},
    }


def install_openapi(app: FastAPI) -> None:
    """Replace the app's OpenAPI document by one that has the schemas of our bodies."""

    def get_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build_document(app)
        return app.openapi_schema

    app.openapi = get_document  # type: ignore[method-assign]  # as FastAPI documents it


def _build_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    # Schemas of the framework's own validation, which we do not use: we never answer 422.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    schemas.update(_SCHEMAS)
    for name, model in _documented.items():
        schema = model.model_json_schema(ref_template=_REF)
        schemas.update(schema.pop("$defs", {}))
        if name in _thinking:
            # A field that the body itself declares keeps the body's schema.
            schema["properties"] = get_thinking_properties() | schema["properties"]
        schemas[name] = schema
    add_security(document)
    return document


def _to_json_content(schema_name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=schema_name)}}}
