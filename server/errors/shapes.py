"""Which shape an error has, by the path: OpenAI's, or Anthropic's where its clients ask.

The one place that decides. Knows no kinds of errors, only what is to be told of one.
"""

from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

_PREFIX = "/v1/messages"
_MODELS = "/v1/models"
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def speaks_anthropic(scope: Scope) -> bool:
    """Whether who sent the request reads Anthropic's shapes.

    The list of models has one path in both APIs; Anthropic's clients name a version.
    """
    path = str(scope["path"])
    if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
        return True
    is_models = path == _MODELS or path.startswith(f"{_MODELS}/")
    return is_models and "anthropic-version" in Headers(scope=scope)


def openai_error(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    """OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic_error(
    status: int, message: str, param: str | None, request_id: str | None
) -> dict[str, Any]:
    """Anthropic's shape; it has no place for `param`, which the message then names."""
    if param is not None and param not in message:
        message = f"{param}: {message}"
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id,
    }
