"""Asking a single question, for people and for scripts.

As text: the answer on standard output, all else on standard error. As JSON: one object on standard
output, whatever happens.
"""

import json
import sys
from contextlib import nullcontext
from typing import Any

from clients.chat.receipt_text import format_summary
from clients.chat.reply import ReplyReader, handling_interrupts
from clients.chat.screen import Screen
from clients.chat.session import ChatSession
from clients.chat.turn import ChatTurn, Progress
from clients.connection import Connection, find_retry_seconds, find_status
from clients.errors import CommandError, ExitCode


class _SilentView:
    """Shows nothing; see :class:`clients.chat.view.ReplyView`."""

    def show_progress(self, progress: Progress) -> None:
        """Show nothing."""

    def show_text(self, text: str, *, is_thought: bool) -> None:
        """Show nothing."""

    def show_notice(self, notice: str) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


async def ask_for_text(
    connection: Connection, session: ChatSession, question: str, screen: Screen
) -> ExitCode:
    """Stream the answer, then say what it took.

    Raises:
        CommandError: there is no reply, or not all of it.
    """
    turn = ChatTurn(question)
    async with connection.make_openai_client() as client:
        session.model = await connection.fetch_model_name(client)
        reader = ReplyReader(client, session, turn, screen.make_view())
        with handling_interrupts(reader.interrupt) if screen.is_live else nullcontext():
            await reader.read(connection)
    if turn.was_stopped:
        return ExitCode.INTERRUPTED
    screen.say(format_summary(turn))
    return ExitCode.OK


async def ask_for_json(connection: Connection, session: ChatSession, question: str) -> ExitCode:
    """Print an object with the reply, or with what there is of it and why.

    Raises:
        CommandError: there is no reply, or not all of it; the object is printed nevertheless.
    """
    turn = ChatTurn(question)
    failure: CommandError | None = None
    try:
        async with connection.make_openai_client() as client:
            session.model = await connection.fetch_model_name(client)
            await ReplyReader(client, session, turn, _SilentView()).read(connection)
    except CommandError as error:
        failure = error
    print(json.dumps(_to_object(session, turn, failure), ensure_ascii=False), file=sys.stdout)
    if failure is not None:
        raise failure
    return ExitCode.OK


def _to_object(
    session: ChatSession, turn: ChatTurn, failure: CommandError | None
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "model": turn.model or session.model,
        "answer": turn.answer if turn.answer or failure is None else None,
        "finish_reason": turn.finish_reason,
        "receipt": dict(turn.receipt) or None,
        "usage": dict(turn.usage) or None,
        "seconds": round(turn.seconds, 3),
        "error": failure and _describe(failure),
    }
    if session.settings.shows_thoughts:
        result["thought"] = turn.thought or None
    return result


def _describe(failure: CommandError) -> dict[str, Any]:
    cause = failure.__cause__
    return {
        "message": failure.message,
        "status": find_status(cause),
        "retry_after_seconds": find_retry_seconds(cause),
    }
