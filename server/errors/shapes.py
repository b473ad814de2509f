"""The error format of a response, chosen by path: OpenAI's or Anthropic's.

The only place that makes this choice. Does not know the kinds of errors, only the fields of an
error object.
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


def is_anthropic_request(scope: Scope) -> bool:
    """Return whether the request comes from a client of Anthropic's API.

    Both APIs list models at the same path; there, Anthropic's clients send a version header.
    """
    path = str(scope["path"])
    if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
        return True
    is_models = path == _MODELS or path.startswith(f"{_MODELS}/")
    return is_models and "anthropic-version" in Headers(scope=scope)


def make_openai_error(
    message: str, kind: str, param: str | None, code: str | None
) -> dict[str, Any]:
    """Return an error object in OpenAI's format."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def make_anthropic_error(
    status: int, message: str, param: str | None, request_id: str | None
) -> dict[str, Any]:
    """Return an error object in Anthropic's format.

    The format has no field for `param`, so the message names it.
    """
    if param is not None and param not in message:
        message = f"{param}: {message}"
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id,
    }
