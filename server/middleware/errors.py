"""Converts every exception of an endpoint or middleware to an error response.

The path determines the shape of the response: OpenAI's or Anthropic's.
"""

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server.errors.api import ApiError
from server.errors.causes import OTHER
from server.errors.internal import EngineError, PromptError, SearchError
from server.errors.shapes import is_anthropic_request
from server.errors.translation import ErrorNote, to_api_error
from server.middleware.path_hint import find_hint
from thinking.budget import BudgetError


def install_error_handlers(app: FastAPI) -> None:
    """Install a handler that answers every exception in the shape of the request's API."""
    # Starlette looks handlers up by class: with `Exception` alone, each error would be logged
    # as a 500.
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
    """Return the response for `error` in the shape of the request's API.

    Records the error code in the request's account.
    """
    api_error = to_api_error(error)
    if isinstance(error, HTTPException) and error.status_code == 404:
        api_error.message += find_hint(request)
    headers, body = api_error.headers, api_error.to_dict()
    request_id = getattr(request.state, "request_id", None)
    account: ErrorNote | None = getattr(request.state, "account", None)
    if account is not None:
        account.error_code = api_error.code or OTHER
    if api_error.status == 500 and request_id:
        headers = {**headers, "x-request-id": request_id}  # sent from outside our middleware
    if is_anthropic_request(request.scope):
        body = api_error.to_anthropic(request_id)
    return JSONResponse(body, api_error.status, headers)
