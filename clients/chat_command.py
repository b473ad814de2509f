"""``thinking chat``: ask one question, or talk, within a thinking budget.

Streams the answer, then one line says what was thought. Knows the wire, no model.
"""

import argparse
import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from clients.chat_session import ChatSession, ChatSettings, ChatTurn
from clients.connection import Connection, add_connection_options
from clients.errors import CommandError, ExitCode, UsageError
from clients.json_argument import as_object, json_pair
from clients.number_argument import at_least
from clients.terminal import Terminal

if TYPE_CHECKING:
    import openai

COMMANDS = """\
/budget N    think at most N tokens; 'default': what the server decides
/thoughts    show thoughts, or hide them again
/clear       forget the conversation
/quit        end (as Ctrl-D does)"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``chat``."""
    parser = subparsers.add_parser(
        "chat",
        help="ask a question, or talk, within a thinking budget",
        description="Without a question: a conversation, or what standard input holds.",
        allow_abbrev=False,
    )
    parser.add_argument("question", nargs="?", help="ask this and end")
    parser.add_argument("--budget", type=at_least(0), metavar="N", help="most tokens of thought")
    parser.add_argument("--effort", help="instead of a budget: none, low, medium, high, …")
    parser.add_argument("--show-thoughts", action="store_true", help="print them too, if allowed")
    parser.add_argument("--system", metavar="TEXT", help="system message")
    parser.add_argument("--temperature", type=at_least(0.0), metavar="T")
    parser.add_argument("--max-completion-tokens", type=at_least(1), metavar="N")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=json_pair,
        metavar="NAME=JSON",
        help="a field of thinking_options",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """One question, or a conversation."""
    if arguments.budget is not None and arguments.effort is not None:
        raise UsageError("--budget and --effort: give one of them")
    settings = _settings(arguments)
    connection = Connection.from_arguments(arguments)
    question: str | None = arguments.question
    if question is None and not sys.stdin.isatty():
        question = sys.stdin.read().strip()
        if not question:
            raise UsageError("no question: standard input is empty")
    if question is not None:
        asyncio.run(_ask_once(connection, settings, question))
    else:
        _converse(connection, settings)
    return ExitCode.OK


def _settings(arguments: argparse.Namespace) -> ChatSettings:
    try:
        options = as_object(arguments.option)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return ChatSettings(
        budget=arguments.budget,
        effort=arguments.effort,
        shows_thoughts=arguments.show_thoughts,
        system=arguments.system,
        temperature=arguments.temperature,
        max_completion_tokens=arguments.max_completion_tokens,
        options=options,
    )


async def _ask_once(connection: Connection, settings: ChatSettings, question: str) -> None:
    async with connection.openai() as client:
        session = ChatSession(await connection.model_name(client), settings)
        await _reply(connection, client, session, question)


def _converse(connection: Connection, settings: ChatSettings) -> None:
    """Until the end of input. Each reply has its own event loop, so that Ctrl-C ends it alone."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() a history
    session: ChatSession | None = None
    print(COMMANDS)
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return
        if line == "/quit":
            return
        try:
            session = session or ChatSession(asyncio.run(_model(connection)), settings)
            if line.startswith("/"):
                _change(session, line)
            elif line:
                asyncio.run(_ask_again(connection, session, line))
        except CommandError as error:
            print(f"error: {error.message}", file=sys.stderr)
        except KeyboardInterrupt:
            print("\n(interrupted)", file=sys.stderr)


async def _model(connection: Connection) -> str:
    async with connection.openai() as client:
        return await connection.model_name(client)


async def _ask_again(connection: Connection, session: ChatSession, question: str) -> None:
    async with connection.openai() as client:
        await _reply(connection, client, session, question)


async def _reply(
    connection: Connection, client: "openai.AsyncOpenAI", session: ChatSession, question: str
) -> None:
    """Stream one reply to standard output, its receipt to standard error."""
    import openai

    terminal = Terminal(sys.stdout)
    turn = ChatTurn()
    try:
        async for piece in session.ask(client, question, turn):
            terminal.write(piece.text, is_dim=piece.is_thought)
    except openai.OpenAIError as error:
        raise connection.failure(error) from error
    finally:
        terminal.end_line()
    print(turn.receipt_line(), file=sys.stderr)


def _change(session: ChatSession, line: str) -> None:
    command, _, value = line.partition(" ")
    match command, value.strip():
        case "/budget", "default":
            session.settings = session.settings.with_budget(None)
        case "/budget", count if count.isdecimal():
            session.settings = session.settings.with_budget(int(count))
        case "/thoughts", "":
            session.settings = session.settings.with_thoughts_toggled()
            print("thoughts are", "shown" if session.settings.shows_thoughts else "hidden")
        case "/clear", "":
            session.clear()
        case _:
            print(COMMANDS)
