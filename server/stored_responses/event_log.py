"""Events of one reply, for any number of readers, who may come late and begin anywhere.

Event number n is the n-th frame. Does not know what a frame holds.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence


class EventLog:
    """Frames in the order of their numbers. Without `shows_at_once`, readers wait for `show`."""

    def __init__(self, *, shows_at_once: bool) -> None:
        self.frames: list[bytes] = []
        self.num_bytes = 0
        self.is_ended = False
        self._shows_at_once = shows_at_once
        self._num_shown = 0
        self._changed = asyncio.Event()

    def append(self, frame: bytes) -> None:
        """Add the next event."""
        assert not self.is_ended
        self.frames.append(frame)
        self.num_bytes += len(frame)
        if self._shows_at_once:
            self._num_shown = len(self.frames)
        self._notify()

    def end(self) -> None:
        """Mark the end: no event follows."""
        self.is_ended = True
        self._notify()

    def show(self, num_frames: int) -> None:
        """Let readers have the first `num_frames` events."""
        self._num_shown = max(self._num_shown, num_frames)
        self._notify()

    def has_more(self, num_frames: int, *, is_end_known: bool) -> bool:
        """Return whether there is more than `num_frames` events, or an end that is not known."""
        return len(self.frames) > num_frames or (self.is_ended and not is_end_known)

    async def wait_changed(self) -> None:
        """Wait for the next event, for more to be shown, or for the end."""
        await self._changed.wait()

    async def read(self, after: int = -1) -> AsyncGenerator[bytes, None]:
        """Yield the events after number `after`, those that are ready together joined.

        A reader who has seen more events than there are gets the last one: it has lost its place.
        """
        place = after + 1
        while True:
            changed = self._changed
            if place < self._num_shown:
                ready = self.frames[place : self._num_shown]
                place = self._num_shown
                yield join_frames(ready)
            elif self.is_ended and self._num_shown == len(self.frames):
                break
            else:
                await changed.wait()
        if place > len(self.frames):
            yield self.frames[-1]

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def join_frames(frames: Sequence[bytes]) -> bytes:
    """Return frames of server-sent events as one text."""
    return b"".join(frames)


def split_frames(joined: bytes) -> list[bytes]:
    """Return the frames of :func:`join_frames`; each ends with the only blank line in it."""
    return [frame + b"\n\n" for frame in joined.split(b"\n\n")[:-1]]
