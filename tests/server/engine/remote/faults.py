"""What may go wrong with a request at an engine elsewhere, as a test orders it."""

from dataclasses import dataclass
from enum import Enum, auto


class FaultKind(Enum):
    """Kind of a fault; those of the second group come before the headers."""

    HANG_UP = auto()  # the connection is closed in the middle
    RESET = auto()  # so it is, and what is on its way is thrown away
    NO_FINISH = auto()  # the response ends as one that is complete
    NO_USAGE = auto()  # the connection is closed after the last token
    SILENCE_AT_USAGE = auto()  # nothing comes after the last token
    ABORT = auto()  # a finish reason
    ERROR_FRAME = auto()
    SILENCE = auto()  # until the test lets it go on
    GARBAGE = auto()
    ENDLESS_EVENT = auto()
    FOREIGN_ID = auto()  # outside the vocabulary
    TWO_CHOICES = auto()
    NO_LOGPROBS = auto()
    OTHER_LOGPROBS = auto()  # of another token
    FOREIGN_LOGPROBS = auto()  # of a token outside the vocabulary
    TOO_MANY_TOKENS = auto()  # more than were asked for
    EARLY_STOP = auto()  # "stop", without a stop token

    NO_HEADERS = auto()  # the connection is closed
    SLOW_HEADERS = auto()  # until the test lets it go on
    STATUS = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one request, after it has been sent `after` tokens; earlier ends are no faults."""

    kind: FaultKind
    after: int = 0
    status: int = 500
    message: str = "out of order"

    @property
    def is_before_headers(self) -> bool:
        """True if the request is not even begun."""
        return self.kind in (FaultKind.NO_HEADERS, FaultKind.SLOW_HEADERS, FaultKind.STATUS)
