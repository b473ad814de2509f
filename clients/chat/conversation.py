"""A conversation at a terminal: a prompt, a reply, the next prompt.

What fails is said in a line, and the question comes back at the next prompt.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from clients.chat.commands import escape_question, is_command, run_command, to_question
from clients.chat.prompt import ChatPrompt, open_history
from clients.chat.quiet_keyboard import quiet_keyboard
from clients.chat.receipt_text import format_summary
from clients.chat.reply import ReplyReader, handling_interrupts
from clients.chat.screen import Screen
from clients.chat.session import ChatSession
from clients.chat.turn import ChatTurn
from clients.connection import Connection
from clients.errors import CommandError

if TYPE_CHECKING:
    import openai
    from prompt_toolkit.history import History

WELCOME = "/help lists the commands, Ctrl-D quits."


class Conversation:
    """Conversation of a person with a model; `draft` is what the next prompt begins with."""

    def __init__(self, connection: Connection, session: ChatSession, screen: Screen) -> None:
        self._connection = connection
        self._session = session
        self._screen = screen
        self._models: list[str] = []
        self._draft = ""
        self._reader: ReplyReader | None = None
        self._fetching: asyncio.Task[list[str]] | None = None

    async def hold(self, *, keeps_history: bool) -> None:
        """Prompt and answer until the end of input."""
        prompt = ChatPrompt(lambda: self._models, self._describe, self._open_history(keeps_history))
        # Over all of it: between a prompt and a reply too, Ctrl-C must not end the conversation.
        with quiet_keyboard(), handling_interrupts(self._interrupt):
            async with self._connection.make_openai_client() as client:
                await self._converse(client, prompt)

    async def _converse(self, client: "openai.AsyncOpenAI", prompt: ChatPrompt) -> None:
        self._screen.say(WELCOME)
        try:
            await self._fetch_models(client)
        except CommandError as error:
            self._screen.warn(error.message)
        with suppress(EOFError):
            while await self._take(client, await prompt.read(self._draft)):
                pass

    def _interrupt(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()
        if self._fetching is not None:
            self._fetching.cancel()

    async def _take(self, client: "openai.AsyncOpenAI", line: str) -> bool:
        """Carry out what was typed; return False if that is to quit."""
        self._draft = ""
        try:
            if is_command(line):
                return await self._carry_out(client, line)
            if line:
                await self._ask(client, to_question(line))
        except CommandError as error:
            self._screen.warn(error.message)
            self._draft = "" if is_command(line) else line
        return True

    async def _carry_out(self, client: "openai.AsyncOpenAI", line: str) -> bool:
        outcome = run_command(self._session, line)
        if outcome.lists_models:
            await self._fetch_models(client)
            self._screen.say("\n".join(self._models))
        if outcome.text:
            self._screen.say(outcome.text)
        if outcome.retries:
            await self._ask_again(client)
        return not outcome.quits

    async def _ask_again(self, client: "openai.AsyncOpenAI") -> None:
        """Ask the last question again; its reply stays where there is no other."""
        replaced = self._session.turns.pop()
        kept = len(self._session.turns)
        try:
            await self._ask(client, replaced.question)
        finally:
            if len(self._session.turns) == kept:
                self._session.turns.append(replaced)

    async def _ask(self, client: "openai.AsyncOpenAI", question: str) -> None:
        if self._session.model is None:
            await self._fetch_models(client)
        turn = ChatTurn(question)
        self._reader = ReplyReader(client, self._session, turn, self._screen.make_view())
        try:
            await self._reader.read(self._connection)
        finally:
            self._reader = None
        if not turn.was_stopped:
            self._screen.say(format_summary(turn))
        elif self._session.keep_stopped(turn):
            self._screen.say("[stopped; what was written is part of the conversation]")
        else:
            self._screen.say("[stopped]")
            self._draft = escape_question(question)

    async def _fetch_models(self, client: "openai.AsyncOpenAI") -> None:
        self._fetching = asyncio.create_task(self._connection.fetch_model_names(client))
        await asyncio.wait([self._fetching])
        if self._fetching.cancelled():
            raise CommandError("interrupted")
        self._models = self._fetching.result()
        self._session.model = self._session.model or self._models[0]

    def _open_history(self, is_kept: bool) -> "History":
        try:
            return open_history(is_kept=is_kept)
        except OSError as error:
            self._screen.warn(f"no history is kept: {error}")
            return open_history(is_kept=False)

    def _describe(self) -> str:
        model = self._session.model or "no model yet"
        return f"{model} · {self._session.settings.describe_thinking()}"
