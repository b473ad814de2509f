"""Errors by which a request loses its engine. It may go on elsewhere.

No message names an address.
"""

from server.errors.internal import EngineError


class EngineLostError(EngineError):
    """The connection is lost, or the engine answers with an error of its own.

    With `is_final`, so would every further request at this address.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class WireError(EngineLostError):
    """The other side sent something that is none of its API's answers."""


class EngineFailedError(EngineLostError):
    """The other side says that it failed, or ended the request before its end."""
