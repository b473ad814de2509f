"""Errors of the API, and the one place where foreign errors become them.

An :class:`ApiError` is what a client reads, in the shape of its API. Messages name fields and
what would be right; they never quote a request's or a model's text.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server.engine.protocol import (
    ConstraintError,
    EngineDeadError,
    EngineError,
    EngineRequestError,
    GivenUpError,
)
from server.error_causes import OTHER
from server.error_shapes import anthropic_error, openai_error, speaks_anthropic
from server.prompt import PromptError
from server.search.errors import SearchError
from thinking.budget import BudgetError

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = "5"


class ApiError(Exception):
    """An error as the client sees it; `param` is the field's path, `code` is for machines."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 (the wire's name)
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's form, also sent as an event of a stream that has begun."""
        return openai_error(self.message, self.type, self.param, self.code)

    def to_anthropic(self, request_id: str | None) -> dict[str, Any]:
        """Anthropic's form, also sent as such an event."""
        return anthropic_error(self.status, self.message, self.param, request_id)


class BadRequestError(ApiError):
    """400: the body, or a field of it."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(400, message, param=param, code=code)


class NotAllowedError(ApiError):
    """403: well-formed, but not for this caller."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(403, message, type="permission_error", param=param, code="not_allowed")


class UnknownModelError(ApiError):
    """404: another model is served here; `served` None: none for this key."""

    def __init__(self, served: str | None, param: str | None = "model") -> None:
        serves = f"this server serves {served!r}" if served else "none is served to this key"
        super().__init__(
            404,
            f"no such model; {serves} (see GET /v1/models)",
            param=param,
            code="model_not_found",
        )


class BodyTooLargeError(ApiError):
    """413: the body is longer than ``max_body_bytes``."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body is larger than {limit} bytes", code="body_too_large")


class BodyTimeoutError(ApiError):
    """408: the body has not arrived within ``body_timeout_seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            408,
            f"the body did not arrive within {seconds:g} seconds",
            code="body_timeout",
            headers={"connection": "close"},
        )


class PromptTooLongError(BadRequestError):
    """400: the prompt fills the model's context."""

    def __init__(self, num_tokens: int, context: int, param: str) -> None:
        super().__init__(
            f"the prompt has {num_tokens} tokens; this model's context holds {context}, and "
            "the reply needs at least one of them",
            param=param,
            code="context_length_exceeded",
        )
        self.num_tokens = num_tokens


class UnavailableError(ApiError):
    """503: the engine is not ready, is closing, or has died."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(
            503,
            message,
            type="service_unavailable",
            code=code,
            headers={"retry-after": RETRY_AFTER_SECONDS},
        )


def to_api_error(error: BaseException) -> ApiError:
    """What the client is told about `error`; anything unforeseen is a bare 500."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return BadRequestError("malformed request")  # bodies are read by server.body
        case BudgetError():
            return BadRequestError(str(error), param=error.param)
        case PromptError():
            return BadRequestError(str(error), param=error.field or "messages")
        case EngineDeadError():
            return UnavailableError("the engine has died", "engine_dead")
        case GivenUpError():
            return UnavailableError(
                "the server is shutting down; there was no time to finish this reply",
                "shutting_down",
            )
        case ConstraintError():
            return BadRequestError(str(error), param=error.field, code="invalid_value")
        case SearchError():
            error_of_search = UnavailableError(str(error), "scorer_unavailable")
            error_of_search.param = "thinking_options.strategy"
            return error_of_search
        case EngineRequestError():
            return BadRequestError(f"the engine refused the request: {error}")
        case EngineError():
            return UnavailableError("the engine stopped this request", "engine_error")
        case HTTPException():
            return _from_http_exception(error)
        case _:
            return ApiError(500, "internal error", type="internal_error", code="internal_error")


class ErrorNote(Protocol):
    """What remembers a request's error: its account."""

    error_code: str | None


def reported(error: BaseException, account: ErrorNote) -> ApiError:
    """The same, of an error in a stream that has begun: noted and logged here or nowhere."""
    api_error = to_api_error(error)
    account.error_code = api_error.code or OTHER
    if api_error.status == 500:
        logger.error("a stream failed", exc_info=error)
    return api_error


def install_error_handlers(app: FastAPI) -> None:
    """Answer every exception in the shape that the path asks for."""
    # Starlette looks a handler up by class: `Exception` alone would mean a logged 500.
    foreseen: Sequence[type[Exception]] = (
        ApiError,
        BudgetError,
        EngineError,
        HTTPException,
        PromptError,
        RequestValidationError,
        SearchError,
        Exception,
    )
    for kind in foreseen:
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """`error` in the shape that the path asks for; noted in the request's account."""
    api_error = to_api_error(error)
    headers, body = api_error.headers, api_error.to_dict()
    request_id = getattr(request.state, "request_id", None)
    account: ErrorNote | None = getattr(request.state, "account", None)
    if account is not None:
        account.error_code = api_error.code or OTHER
    if api_error.status == 500 and request_id:
        headers = {**headers, "x-request-id": request_id}  # sent from outside our middleware
    if speaks_anthropic(request.scope):
        body = api_error.to_anthropic(request_id)
    return JSONResponse(body, api_error.status, headers)


def _from_http_exception(error: HTTPException) -> ApiError:
    messages = {404: "no such path", 405: "this path does not take this method"}
    codes = {404: "not_found", 405: "method_not_allowed"}
    return ApiError(
        error.status_code,
        messages.get(error.status_code, str(error.detail)),
        code=codes.get(error.status_code),
        headers=error.headers,
    )
