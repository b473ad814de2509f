"""Errors for requests that are not admitted: 429 with a code for the cause, and when to retry.

Also the 504 of a request that takes too long.
"""

from server.errors.api import ApiError

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 1, 60


class RefusedError(ApiError):
    """429. `retry_after_seconds` is clamped to 1 to 60."""

    def __init__(self, message: str, code: str, retry_after_seconds: int) -> None:
        seconds = min(MAX_RETRY_SECONDS, max(MIN_RETRY_SECONDS, retry_after_seconds))
        super().__init__(
            429,
            f"{message}; try again in {seconds} s",
            type="rate_limit_error",
            code=code,
            headers={"retry-after": str(seconds)},
        )


class QueueFullError(RefusedError):
    """The maximum number of requests is waiting."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "the server is busy and its queue is full", "queue_full", retry_after_seconds
        )


class QueueTimeoutError(RefusedError):
    """The request has waited for the maximum time."""

    def __init__(self, waited_seconds: float, retry_after_seconds: int) -> None:
        super().__init__(
            f"the server is busy: the request has waited {waited_seconds:g} s",
            "queue_timeout",
            retry_after_seconds,
        )


class TooManyConcurrentError(RefusedError):
    """The key has the maximum number of open requests."""

    def __init__(self, limit: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"this key may have {limit} requests open at a time",
            "too_many_concurrent_requests",
            retry_after_seconds,
        )


class DeadlineError(ApiError):
    """504, or the last event of a stream: the request has taken the maximum time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            504,
            f"the request has taken longer than this server allows ({seconds:g} s); request a "
            "shorter thought or answer",
            type="timeout_error",
            code="deadline_exceeded",
        )
