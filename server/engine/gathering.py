"""Gathers the hidden tokens of a request, so that many of them wake the API process once.

What wakes a reader costs more than a token does: some twenty frames of coroutines. A reader that
shows nothing of a thought needs its tokens counted, not one by one. Knows no engine.
"""

import time
from collections.abc import Callable, Sequence

# The longest that a token waits for others, measured when the next one comes. Progress and a
# hang-up are seen this much later; an engine whose steps take longer hands over every token.
MAX_WAIT_SECONDS = 0.1


class TokenGatherer:
    """Tokens of one request on their way to its reader.

    While the reader says that it may, tokens wait; they are handed over together when the thought
    may end, the request has ended, or :data:`MAX_WAIT_SECONDS` are over. The reader says so anew
    after each time, for only it knows whether what comes next is hidden.
    """

    def __init__(self, end_token_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Create it. `end_token_id` is the last token of the marker that ends a thought."""
        self._end_token_id = end_token_id
        self._clock = clock
        self._waiting: list[int] = []
        self._may_wait = False
        self._until = 0.0

    def take_waiting(self) -> Sequence[int]:
        """Return the tokens that still wait, for a reader that leaves early; none wait then."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def let_wait(self, may_wait: bool) -> None:
        """Set whether the tokens that come next may wait for others."""
        self._may_wait = may_wait
        self._until = self._clock() + MAX_WAIT_SECONDS

    def push(self, token_ids: Sequence[int], *, is_last: bool) -> Sequence[int] | None:
        """Take new tokens; return all that are to be handed over, or None while they wait."""
        if (
            self._may_wait
            and not is_last
            and self._end_token_id not in token_ids
            and self._clock() < self._until
        ):
            self._waiting += token_ids
            return None
        self._may_wait = False
        return [*self.take_waiting(), *token_ids] if self._waiting else token_ids
