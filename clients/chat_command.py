"""``thinking chat``: ask one question, or hold a conversation, within a thinking budget.

Streams the answer, then prints one line about the thought. Knows the wire format, not the model.
"""

import argparse
import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from clients.chat_session import ChatSession, ChatSettings, ChatTurn
from clients.connection import Connection, add_connection_options
from clients.errors import CommandError, ExitCode, UsageError
from clients.json_argument import merge_pairs, parse_json_pair
from clients.number_argument import require_at_least
from clients.terminal import Terminal

if TYPE_CHECKING:
    import openai

COMMANDS = """\
/budget N    think for at most N tokens; 'default': the server's default
/thoughts    show or hide thoughts
/clear       clear the conversation
/quit        quit (like Ctrl-D)"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``chat`` command."""
    parser = subparsers.add_parser(
        "chat",
        help="ask a question, or chat, within a thinking budget",
        description="Without a question: read it from a pipe, or start a conversation.",
        allow_abbrev=False,
    )
    parser.add_argument("question", nargs="?", help="the question to ask; exits after the reply")
    parser.add_argument(
        "--budget", type=require_at_least(0), metavar="N", help="thinking budget, in tokens"
    )
    parser.add_argument("--effort", help="effort instead of a budget: none, low, medium, …")
    parser.add_argument("--show-thoughts", action="store_true", help="print thoughts, if allowed")
    parser.add_argument("--system", metavar="TEXT", help="system message")
    parser.add_argument(
        "--temperature", type=require_at_least(0.0), metavar="T", help="sampling temperature"
    )
    parser.add_argument(
        "--max-completion-tokens",
        type=require_at_least(1),
        metavar="N",
        help="maximum tokens of a reply",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=parse_json_pair,
        metavar="NAME=JSON",
        help="a field of thinking_options",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer one question, or hold a conversation."""
    if arguments.budget is not None and arguments.effort is not None:
        raise UsageError("--budget and --effort: give one of them")
    settings = _parse_settings(arguments)
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


def _parse_settings(arguments: argparse.Namespace) -> ChatSettings:
    try:
        options = merge_pairs(arguments.option)
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
    async with connection.make_openai_client() as client:
        session = ChatSession(await connection.fetch_model_name(client), settings)
        await _stream_reply(connection, client, session, question)


def _converse(connection: Connection, settings: ChatSettings) -> None:
    """Read lines until the end of input.

    Each reply runs in its own event loop, so that Ctrl-C ends only that reply.
    """
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
            session = session or ChatSession(asyncio.run(_fetch_model_name(connection)), settings)
            if line.startswith("/"):
                _run_command(session, line)
            elif line:
                asyncio.run(_ask_again(connection, session, line))
        except CommandError as error:
            print(f"error: {error.message}", file=sys.stderr)
        except KeyboardInterrupt:
            print("\n(interrupted)", file=sys.stderr)


async def _fetch_model_name(connection: Connection) -> str:
    async with connection.make_openai_client() as client:
        return await connection.fetch_model_name(client)


async def _ask_again(connection: Connection, session: ChatSession, question: str) -> None:
    async with connection.make_openai_client() as client:
        await _stream_reply(connection, client, session, question)


async def _stream_reply(
    connection: Connection, client: "openai.AsyncOpenAI", session: ChatSession, question: str
) -> None:
    """Stream one reply to standard output and its receipt to standard error."""
    import openai

    terminal = Terminal(sys.stdout)
    turn = ChatTurn()
    try:
        async for piece in session.ask(client, question, turn):
            terminal.write(piece.text, is_dim=piece.is_thought)
    except openai.OpenAIError as error:
        raise connection.to_command_error(error) from error
    finally:
        terminal.end_line()
    print(turn.format_receipt(), file=sys.stderr)


def _run_command(session: ChatSession, line: str) -> None:
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
