"""Reading of a reply from the request to its end, and what Ctrl-C does to it meanwhile.

The first Ctrl-C while it thinks ends the thought, and the answer comes; another, or one while it
answers, stops the reply. Knows neither commands nor the conversation.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clients.chat.session import ChatSession
from clients.chat.turn import ChatTurn, Progress
from clients.chat.view import ReplyView
from clients.connection import Connection

if TYPE_CHECKING:
    import openai

ENDING = "ending the thought; Ctrl-C again stops the reply"


class ReplyReader:
    """Reads the reply of `turn` and shows it; `interrupt` is called at each Ctrl-C."""

    def __init__(
        self, client: "openai.AsyncOpenAI", session: ChatSession, turn: ChatTurn, view: ReplyView
    ) -> None:
        self._client = client
        self._session = session
        self._turn = turn
        self._view = view
        self._reading: asyncio.Task[None] | None = None
        self._order: asyncio.Task[None] | None = None

    async def read(self, connection: Connection) -> None:
        """Read to the end, or until it is stopped: then `turn.was_stopped`.

        Raises:
            CommandError: the server refuses, fails or is gone.
        """
        import openai

        self._reading = reading = asyncio.create_task(self._show())
        try:
            await asyncio.wait([reading])  # which does not cancel what it waits for
            await reading
        except asyncio.CancelledError:
            if not reading.cancelled():  # it is this task that was
                raise
            self._turn.was_stopped = True
        except (openai.OpenAIError, ValueError) as error:
            raise connection.to_command_error(error) from error
        finally:
            if self._order is not None:
                self._order.cancel()
            reading.cancel()
            await asyncio.wait([reading])
            self._view.finish()

    def interrupt(self) -> None:
        """End the thought; if none runs, or that was done before, stop the reply."""
        if self._reading is None:
            return
        reply_id = self._turn.reply_id
        if reply_id is None or self._order is not None or not self._turn.is_thinking:
            self._reading.cancel()
            return
        self._view.show_notice(ENDING)
        self._order = asyncio.create_task(self._end_thought(reply_id, self._reading))

    async def _show(self) -> None:
        async for event in self._session.ask(self._client, self._turn):
            if isinstance(event, Progress):
                self._view.show_progress(event)
            else:
                self._view.show_text(event.text, is_thought=event.is_thought)

    async def _end_thought(self, reply_id: str, reading: "asyncio.Task[None]") -> None:
        import openai

        try:
            await self._session.end_thought(self._client, reply_id)
        except openai.ConflictError:
            pass  # the thought has ended by itself, and the answer is coming
        except openai.OpenAIError:
            reading.cancel()  # a server that cannot end a thought can still be hung up on


@contextmanager
def handling_interrupts(handle: Callable[[], None]) -> Iterator[None]:
    """Call `handle` in the event loop at each Ctrl-C."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, handle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
