"""Gathers the hidden tokens of a request in the engine, so that many cost the API process as one.

What carries a token to its reader (a message, its decoding, twenty frames of coroutines) costs more
than the token. A reader that shows nothing of a thought needs its tokens counted, not one by one.
Knows no engine.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Where a request's :class:`Gathering` is in vLLM's ``SamplingParams.extra_args``.
GATHER_KEY = "gathering"
# The longest that a token waits for others, measured when the next one comes; an engine whose steps
# take longer hands over every token. The first is for a thought whose client watches its progress.
# What is seen later of the others: counts in `/metrics` and of running replies.
WATCHED_SECONDS, UNWATCHED_SECONDS = 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Gathering:
    """Rule by which the tokens of a hidden thought wait for each other.

    `until` has the sequences of token ids that end the thought, none empty.
    """

    until: Sequence[Sequence[int]]
    max_wait_seconds: float = UNWATCHED_SECONDS

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for another process."""
        return {
            "until": [list(end) for end in self.until],
            "max_wait_seconds": self.max_wait_seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Gathering":
        """Return what :meth:`to_dict` was made of."""
        return cls(values["until"], values["max_wait_seconds"])


class TokenGatherer:
    """Tokens of one request on their way to its reader, which is hidden from the first.

    The first token is handed over at once. Then tokens wait, and are handed over together at the
    ticks of a clock that all requests share, so that a reader of many wakes for all at once. From
    the end of the thought on, nothing waits.
    """

    def __init__(self, gathering: Gathering, clock: Callable[[], float] = time.monotonic) -> None:
        self._until = [tuple(end) for end in gathering.until]
        self._last_ids = frozenset(end[-1] for end in self._until)
        self._longest = max((len(end) for end in self._until), default=1)
        self._max_wait_seconds = gathering.max_wait_seconds
        self._before: tuple[int, ...] = ()  # the last tokens, in which an end may have begun
        self._clock = clock
        self._waiting: list[int] = []
        self._has_begun = False
        self._is_over = False
        self._tick = 0

    def push(self, token_ids: Sequence[int], *, may_wait: bool) -> Sequence[int] | None:
        """Take new tokens; return all that are to be handed over, or None while they wait.

        `may_wait` is false where the reader needs them now: the request has ended, for example.
        """
        if self._is_over:
            return token_ids
        if self._ends_thought(token_ids):
            self._is_over = True
        elif not self._has_begun:
            self._has_begun = True
        elif may_wait:
            tick = int(self._clock() / self._max_wait_seconds)
            if not self._waiting:
                self._tick = tick
            if tick == self._tick:
                self._waiting += token_ids
                return None
        handed, self._waiting = [*self._waiting, *token_ids], []
        return handed

    def take_waiting(self) -> list[int]:
        """Return the tokens that wait, for a reader that leaves; none wait then."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _ends_thought(self, token_ids: Sequence[int]) -> bool:
        known = (*self._before, *token_ids)
        self._before = known[1 - self._longest :] if self._longest > 1 else ()
        if self._last_ids.isdisjoint(token_ids):
            return False
        places = range(len(known) - len(token_ids) + 1, len(known) + 1)
        return any(known[:stop][-len(end) :] == end for stop in places for end in self._until)
