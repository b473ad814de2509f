"""Ends of a response that the one who wrote it did not write: lost, too large, or unreadable.

The only place here that knows the form of a response and of its events.
"""

from typing import Any

from server.errors.api import ApiError, UnavailableError
from server.http.streaming import format_sse_event
from server.stored_responses.stored import Json, StoredResponse

LOST = (
    "the server that wrote this response has ended without finishing it; please create the "
    "response again"
)
DELETED = ApiError(
    404, "the response has been deleted", param="response_id", code="response_not_found"
)
TOO_LARGE = "the response is larger than this server may store (--response-store-max-bytes)"


def get_last_event_type(status: str) -> str:
    """Return the type of the last event of a response; clients know none for a cancelled one."""
    return "response.incomplete" if status == "cancelled" else f"response.{status}"


def fail(stored: StoredResponse, message: str) -> StoredResponse:
    """Return `stored` as failed, without any output."""
    error = {"code": "server_error", "message": message}
    response = {**stored.response, "status": "failed", "error": error, "output": []}
    return StoredResponse(response, stored.input, stored.context)


def to_too_large(stored: StoredResponse) -> StoredResponse:
    """Return a failed response in place of one that the store cannot hold."""
    failed = fail(stored, TOO_LARGE)
    echo = {**failed.response, "instructions": None, "tools": [], "metadata": {}}
    return StoredResponse(echo, (), ())


def make_last_frame(response: Json, number: int) -> bytes:
    """Return the last event of a finished response."""
    kind = get_last_event_type(str(response["status"]))
    return _format({"type": kind, "response": response}, number)


def make_failure_frames(response: Json, number: int) -> list[bytes]:
    """Return the two last events of a failed response: clients raise at the first."""
    error = UnavailableError(str(response["error"]["message"]), "server_lost")
    return [make_error_frame(error, number), make_last_frame(response, number + 1)]


def make_error_frame(error: ApiError, number: int) -> bytes:
    """Return an ``error`` event."""
    fields = {"code": error.code, "message": error.message, "param": error.param}
    return _format({"type": "error", **fields, **error.to_dict()}, number)


def _format(event: dict[str, Any], number: int) -> bytes:
    return format_sse_event({**event, "sequence_number": number}, event["type"])
