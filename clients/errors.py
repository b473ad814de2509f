"""Errors that end a command with a message instead of a traceback.

Knows exit codes; does not know which command fails, or why.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of ``thinking``."""

    OK = 0
    FAILED = 1  # the server or some of the requests
    USAGE = 2  # arguments or files that cannot be used
    INTERRUPTED = 130  # Ctrl-C, as shells count it


class CommandError(Exception):
    """Error that ends the command: `message` goes to standard error, `code` is the exit status."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class UsageError(CommandError):
    """Arguments or files that cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)
