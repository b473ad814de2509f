"""Middleware that sets ``x-request-id`` on every response: a valid id of the caller, or a new one.

For Anthropic's clients also under the header name that they read.
"""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from server.errors.shapes import is_anthropic_request
from server.http.middleware import HttpMiddleware

HEADER = "x-request-id"
ANTHROPIC_HEADER = "request-id"
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIdMiddleware(HttpMiddleware):
    """Sets the response header and ``request.state.request_id``."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app and add the header to the response."""
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _VALID_ID.fullmatch(given) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                if is_anthropic_request(scope):
                    headers[ANTHROPIC_HEADER] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)
