"""Responses of the connection itself, to what never becomes a request of the app."""

import json

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.errors.shapes import make_openai_error
from server.http.connection_limits import MAX_HEAD_BYTES, MAX_HEADERS

# Messages for a request head that is rejected, by status.
HEAD_REFUSALS = {
    400: "malformed HTTP request",
    408: "the request's headers took too long",
    431: f"more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} lines of headers",
}
_HEAD = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"


def format_refusal(status: int, message: str, code: str) -> bytes:
    """Return a whole response with an error object of the API, after which the client is left."""
    kind = "invalid_request_error" if status < 500 else "service_unavailable"
    body = json.dumps(make_openai_error(message, kind, None, code)).encode()
    return STATUS_LINE[status] + _HEAD % len(body) + body
