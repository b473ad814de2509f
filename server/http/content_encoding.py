"""Middleware that decodes compressed request bodies, as far as the limit of a body allows.

The app reads the body as if it had been sent without ``content-encoding``. Both limits of
``max_body_bytes`` apply: to what was sent (:mod:`server.http.body_limits`) and to what it decodes
to. A coding that we do not decode is a 415 when the body is read, so that paths without a body
ignore the header. Does not know how a coding works.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors.api import ApiError, BadRequestError, BodyTooLargeError
from server.http.content_codings import ACCEPTED, DECODERS, BadCodingError, Decoder
from server.http.middleware import HttpMiddleware

# Those of the encoded body.
_REMOVED = (b"content-encoding", b"content-length")


class UnsupportedCodingError(ApiError):
    """415: the body is in a coding, or in several, that this server does not decode."""

    def __init__(self) -> None:
        super().__init__(
            415,
            f"content-encoding: one of {ACCEPTED} is supported; or send the body without it",
            code="unsupported_encoding",
            headers={"accept-encoding": ACCEPTED},  # RFC 9110, section 12.5.3
        )


class ContentEncodingMiddleware(HttpMiddleware):
    """Decodes bodies, and removes the headers that described the encoded body."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        super().__init__(app)
        self.max_body_bytes = max_body_bytes

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with a `receive` that returns the decoded body."""
        coding = ", ".join(Headers(scope=scope).getlist("content-encoding")).strip().lower()
        if coding in ("", "identity"):
            await self.app(scope, receive, send)
            return
        create = DECODERS.get(coding)
        body = None if create is None else _DecodedBody(receive, create(), self.max_body_bytes)

        async def receive_decoded() -> Message:
            if body is None:
                raise UnsupportedCodingError
            return await body.receive()

        scope["headers"] = [line for line in scope["headers"] if line[0] not in _REMOVED]
        await self.app(scope, receive_decoded, send)


class _DecodedBody:
    """The messages of a request, with the decoded body."""

    def __init__(self, receive: Receive, decoder: Decoder, max_bytes: int) -> None:
        self._receive = receive
        self._decoder = decoder
        self._max_bytes = max_bytes
        self._num_encoded = 0
        self._num_decoded = 0

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            BodyTooLargeError: the body decodes to more than is allowed.
            BadRequestError: the body is not of its coding, or ends too soon.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        data = message.get("body", b"")
        self._num_encoded += len(data)
        try:
            decoded = self._decode(data)
            if not message.get("more_body", False):
                self._check_end()
        except BadCodingError:
            raise BadRequestError(
                "the body is not what its 'content-encoding' says", code="invalid_encoding"
            ) from None
        return {**message, "body": decoded}

    def _decode(self, data: bytes) -> bytes:
        # One byte more than is allowed tells that there is too much.
        decoded = self._decoder.decode(data, self._max_bytes - self._num_decoded + 1)
        self._num_decoded += len(decoded)
        if self._num_decoded > self._max_bytes:
            raise BodyTooLargeError(self._max_bytes)
        return decoded

    def _check_end(self) -> None:
        if self._num_encoded and not self._decoder.is_finished:
            raise BadCodingError
