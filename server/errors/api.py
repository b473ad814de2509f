"""Errors that are sent to clients, in the format of the API that they use.

Messages name the field and the valid values; they never quote text of a request or a model.
Does not know what raised the errors.
"""

from collections.abc import Mapping
from typing import Any

from server.errors.shapes import make_anthropic_error, make_openai_error

RETRY_AFTER_SECONDS = "5"


class ApiError(Exception):
    """An error response. `param` is the path of the field, `code` a machine-readable code."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 (the name on the wire)
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
        """Return OpenAI's error object, also used for an error event inside a stream."""
        return make_openai_error(self.message, self.type, self.param, self.code)

    def to_anthropic(self, request_id: str | None) -> dict[str, Any]:
        """Return Anthropic's error object, also used for an error event inside a stream."""
        return make_anthropic_error(self.status, self.message, self.param, request_id)


class BadRequestError(ApiError):
    """400: the body or one of its fields is invalid."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(400, message, param=param, code=code)


class NotAllowedError(ApiError):
    """403: a valid request that this caller may not make."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(403, message, type="permission_error", param=param, code="not_allowed")


class UnknownModelError(ApiError):
    """404: the model is not served. `served` is the model that is, or None if this key has none."""

    def __init__(self, served: str | None, param: str | None = "model") -> None:
        serves = f"this server serves {served!r}" if served else "this key may use no model"
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
    """408: the body did not arrive within ``body_timeout_seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            408,
            f"the body did not arrive within {seconds:g} seconds",
            code="body_timeout",
            headers={"connection": "close"},
        )


class PromptTooLongError(BadRequestError):
    """400: the prompt fills the model's context. `num_tokens` and `context` are both lengths.

    The first sentences are OpenAI's: clients know an overflow by their words, and then shorten the
    conversation.
    """

    def __init__(self, num_tokens: int, context: int, param: str) -> None:
        super().__init__(
            f"This model's maximum context length is {context} tokens. However, your {param} "
            f"resulted in {num_tokens} tokens, and the reply needs at least one more. Please "
            f"reduce the length of the {param}.",
            param=param,
            code="context_length_exceeded",
        )
        self.num_tokens = num_tokens
        self.context = context

    def to_anthropic(self, request_id: str | None) -> dict[str, Any]:
        """See :class:`ApiError`; here the first words are Anthropic's."""
        # The reply needs at least one token of the context.
        words = f"prompt is too long: {self.num_tokens} tokens > {self.context - 1} maximum"
        return make_anthropic_error(self.status, f"{words}. {self.message}", None, request_id)


class UnavailableError(ApiError):
    """503: the engine is not ready, is shutting down, or has died."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(
            503,
            message,
            type="service_unavailable",
            code=code,
            headers={"retry-after": RETRY_AFTER_SECONDS},
        )
