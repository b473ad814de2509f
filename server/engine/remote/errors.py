"""Errors by which a request loses its engine. It may go on elsewhere.

No message names an address, or has words of a request.
"""

from enum import StrEnum

from server.errors.internal import EngineError


class LossCause(StrEnum):
    """Cause of the loss of a request's engine; the label of a metric."""

    UNREACHABLE = "unreachable"  # nobody listens there, or nobody that is trusted
    CONNECTION = "connection"  # it broke off
    SILENT = "silent"
    STATUS = "status"  # an answer that is none of the engine's own, or that it is overloaded
    FAILED = "failed"  # it says so itself
    REFUSED = "refused"  # it does not take the request
    PROTOCOL = "protocol"  # what it says has no sense


class EngineLostError(EngineError):
    """The connection is lost, or the engine answers with an error of its own.

    With `is_final`, so would every further request at this address.
    """

    cause = LossCause.CONNECTION

    def __init__(
        self, message: str, cause: LossCause | None = None, *, is_final: bool = False
    ) -> None:
        super().__init__(message)
        self.cause = cause or self.cause
        self.is_final = is_final

    @property
    def is_of_engine(self) -> bool:
        """True if other requests at this engine are likely to be lost too."""
        return True


class WireError(EngineLostError):
    """The other side sent something that is none of its API's answers."""

    cause = LossCause.PROTOCOL


class EngineFailedError(EngineLostError):
    """The other side says that it failed, or ended the request before its end."""

    cause = LossCause.FAILED

    @property
    def is_of_engine(self) -> bool:
        """False: the request itself may be the cause."""
        return False


class EngineRefusedError(EngineFailedError):
    """The other side rejects the request, with this status.

    `detail` has its words. They may quote the request: they are for nobody but who has sent it.
    """

    cause = LossCause.REFUSED

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"status {status}")
        self.detail = detail
