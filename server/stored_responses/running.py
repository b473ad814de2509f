"""Replies that this process writes in the background: their state, and their tasks.

Does not know where responses are stored, nor how a reply is written.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from server.stored_responses.event_log import EventLog
from server.stored_responses.stored import Json, StoredResponse


class RunningReply:
    """A reply in the background. `stored` is its present state; `events` has all its events."""

    def __init__(self, key_id: str, stored: StoredResponse, *, shows_at_once: bool) -> None:
        self.key_id = key_id
        self.stored = stored
        self.events = EventLog(shows_at_once=shows_at_once)
        self.is_deleted = False
        self._cancelling = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def place(self) -> tuple[str, str]:
        """The ids of the key and of the response."""
        return self.key_id, self.stored.response_id

    @property
    def is_ended(self) -> bool:
        """True once its last event is written."""
        return self._ended.is_set()

    def update(self, response: Json) -> None:
        """Set the response that a client sees from now on."""
        self.stored = self.stored.with_response(response)

    def end(self, stored: StoredResponse) -> None:
        """Set the final state. The last event has been written."""
        self.stored = stored
        self.events.end()
        self._ended.set()

    def cancel(self) -> None:
        """Request that the reply ends. It may have ended already."""
        self._cancelling.set()

    async def wait_cancelled(self) -> None:
        """Wait until somebody cancels the reply."""
        await self._cancelling.wait()

    async def wait_ended(self) -> None:
        """Wait for the end."""
        await self._ended.wait()


class BackgroundTasks:
    """The tasks that write replies without a client."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def num_running(self) -> int:
        """The number of tasks that have not ended."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, whether or not the client stays."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all tasks."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
