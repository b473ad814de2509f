"""How the process ends, for supervisors and scripts."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of ``thinking-server``; 128 + n where signal n ended it at once."""

    OK = 0  # stopped by a signal, open requests finished or out of time
    START_FAILED = 1  # the address or the engine
    USAGE = 2  # options or a model that cannot be served
    ENGINE_DIED = 3  # restart it
