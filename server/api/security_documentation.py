"""OpenAPI documentation of the API keys. Checks no key."""

from typing import Any

from server.middleware.keys import OPEN_PATHS

_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "As OpenAI's clients send the key.",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "As Anthropic's clients send the key.",
    },
}


def add_security(document: dict[str, Any]) -> None:
    """Add the two ways of sending a key to an OpenAPI document; only `OPEN_PATHS` need no key."""
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    document["security"] = [{name: []} for name in _SCHEMES]
    for path in OPEN_PATHS & document["paths"].keys():
        for operation in document["paths"][path].values():
            operation["security"] = []
