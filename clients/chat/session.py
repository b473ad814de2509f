"""A conversation over HTTP: the requests, the streamed replies and their token counts.

Prints nothing. Thoughts are never sent back: only answers are part of the conversation.
"""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from clients.chat.settings import ChatSettings
from clients.chat.turn import ChatTurn, Piece, Progress
from clients.errors import CommandError

if TYPE_CHECKING:
    import openai

_PROGRESS = "include_thinking_progress"


class BrokenStreamError(CommandError):
    """A stream that ended before its reply did."""

    def __init__(self) -> None:
        super().__init__("the connection ended before the reply did")


class ChatSession:
    """Conversation so far; a turn that fails leaves it unchanged.

    `wants_progress`: replies say how far their hidden thoughts are.
    """

    def __init__(
        self, model: str | None, settings: ChatSettings, *, wants_progress: bool = False
    ) -> None:
        self.model = model
        self.settings = settings
        self.turns: list[ChatTurn] = []
        self._wants_progress = wants_progress

    async def ask(
        self, client: "openai.AsyncOpenAI", turn: ChatTurn
    ) -> AsyncIterator[Piece | Progress]:
        """Yield the reply incrementally; `turn` is complete, and kept, when the iterator ends.

        Raises:
            openai.OpenAIError: the server refuses, fails or is gone.
            BrokenStreamError: the stream ended before the reply did.
        """
        begin = time.perf_counter()
        try:
            async with await self._create(client, turn) as stream:
                async for chunk in stream:
                    for event in turn.read(chunk):
                        yield event
        finally:
            turn.seconds = time.perf_counter() - begin
        if turn.finish_reason is None:
            raise BrokenStreamError
        self.turns.append(turn)

    def keep_stopped(self, turn: ChatTurn) -> bool:
        """Keep what there is of a reply that was stopped; return False where there is no answer."""
        turn.was_stopped = True
        if turn.answer:
            self.turns.append(turn)
        return bool(turn.answer)

    def to_messages(self) -> list[dict[str, str]]:
        """Return the messages of the conversation, the system message first."""
        system = self.settings.system
        messages = [] if system is None else [{"role": "system", "content": system}]
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages

    async def end_thought(self, client: "openai.AsyncOpenAI", reply_id: str) -> None:
        """End the running thought of a reply; its answer follows.

        Raises:
            openai.OpenAIError: the server refuses, has no such endpoint, or is gone.
        """
        await client.post(f"/thinking/{reply_id}", cast_to=object, body={"action": "end"})

    async def _create(self, client: "openai.AsyncOpenAI", turn: ChatTurn) -> Any:
        """Return the stream; without progress from a server that does not know the option."""
        import openai

        try:
            return await self._create_once(client, turn)
        except openai.BadRequestError as error:
            if not self._wants_progress or _PROGRESS not in str(error):
                raise
            self._wants_progress = False
            return await self._create_once(client, turn)

    async def _create_once(self, client: "openai.AsyncOpenAI", turn: ChatTurn) -> Any:
        messages: Any = [*self.to_messages(), {"role": "user", "content": turn.question}]
        options: Any = {"include_usage": True}
        if self._wants_progress:
            options[_PROGRESS] = True
        return await client.chat.completions.create(
            model=self.model or "",
            messages=messages,
            stream=True,
            stream_options=options,
            extra_body=self.settings.to_fields(),
        )
