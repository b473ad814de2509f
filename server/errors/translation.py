"""The single place where errors raised below the API layer are mapped to API errors."""

import logging
from typing import Protocol

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from server.errors.api import ApiError, BadRequestError, UnavailableError
from server.errors.causes import OTHER
from server.errors.internal import (
    ConstraintError,
    EngineDeadError,
    EngineError,
    EngineRequestError,
    GivenUpError,
    NoEngineError,
    PromptError,
    SearchError,
    TooManyMigrationsError,
)
from thinking.budget import BudgetError

logger = logging.getLogger(__name__)


def to_api_error(error: BaseException) -> ApiError:
    """Return the API error for `error`; an unexpected error becomes a 500 without details."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return BadRequestError("malformed request")  # bodies are parsed by server.api.body
        case BudgetError():
            return BadRequestError(str(error), param=error.param)
        case PromptError():
            return BadRequestError(str(error), param=error.field or "messages")
        case EngineDeadError():
            return UnavailableError("the engine has died", "engine_dead")
        case NoEngineError():
            return UnavailableError(str(error), "no_engine_ready")
        case TooManyMigrationsError():
            times = "once" if error.num_lost == 1 else f"{error.num_lost} times"
            return UnavailableError(f"the engine was lost {times} during this reply", "engine_lost")
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
    """A record of a request's error code: its account."""

    error_code: str | None


def report_error(error: BaseException, account: ErrorNote) -> ApiError:
    """Return the API error for `error`, raised after a stream has begun.

    Records its code in `account` and logs a 500: no other code sees this error.
    """
    api_error = to_api_error(error)
    account.error_code = api_error.code or OTHER
    if api_error.status == 500:
        logger.error("a stream failed", exc_info=error)
    return api_error


def _from_http_exception(error: HTTPException) -> ApiError:
    messages = {404: "no such path", 405: "this path does not support this method"}
    codes = {404: "not_found", 405: "method_not_allowed"}
    return ApiError(
        error.status_code,
        messages.get(error.status_code, str(error.detail)),
        code=codes.get(error.status_code),
        headers=error.headers,
    )
