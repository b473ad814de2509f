"""``thinking chat``: ask one question, or hold a conversation, within a thinking budget.

Reads the options and decides which of the two it is. Knows neither terminal nor wire format.
"""

import argparse
import asyncio
import sys
from dataclasses import replace

from clients.chat.session import ChatSession
from clients.chat.settings import ChatSettings
from clients.connection import Connection, add_connection_options
from clients.errors import ExitCode, UsageError
from clients.extras import require
from clients.json_argument import merge_pairs, parse_json_pair
from clients.number_argument import require_at_least


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
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        type=parse_json_pair,
        metavar="NAME=JSON",
        help="any other field of the request body",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object: answer, receipt, usage, error"
    )
    parser.add_argument(
        "--plain", action="store_true", help="no Markdown, no progress: text as it comes"
    )
    parser.add_argument(
        "--no-history", action="store_true", help="do not keep what is typed in a conversation"
    )
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer one question, or hold a conversation."""
    if arguments.budget is not None and arguments.effort is not None:
        raise UsageError("--budget and --effort: give one of them")
    require("openai", "rich", "prompt_toolkit")
    from clients.chat.screen import Screen
    from clients.chat.single_question import ask_for_json, ask_for_text

    settings = _parse_settings(arguments)
    connection = Connection.from_arguments(arguments)
    question = _find_question(arguments)
    screen = Screen(is_plain=arguments.plain)
    session = ChatSession(connection.model, settings, wants_progress=screen.is_live)
    if arguments.json:
        if question is None:
            raise UsageError("--json needs a question, as an argument or through a pipe")
        session = ChatSession(connection.model, settings)
        return asyncio.run(ask_for_json(connection, session, question))
    if question is not None:
        return asyncio.run(ask_for_text(connection, session, question, screen))
    if not sys.stdout.isatty():
        raise UsageError("a conversation needs a terminal; give the question, or pipe it in")
    from clients.chat.conversation import Conversation

    # A person is told at once, and decides.
    conversation = Conversation(replace(connection, max_retries=0), session, screen)
    asyncio.run(conversation.hold(keeps_history=not arguments.no_history))
    return ExitCode.OK


def _find_question(arguments: argparse.Namespace) -> str | None:
    """Return the question, from a pipe where none is given; None: from a keyboard."""
    if arguments.question is not None:
        return str(arguments.question)
    if sys.stdin.isatty():
        return None
    # Bytes that are no text become replacement characters; the rest is asked as it is.
    raw = getattr(sys.stdin, "buffer", None)
    question = raw.read().decode(errors="replace") if raw else sys.stdin.read()
    if not question.strip():
        raise UsageError("no question: standard input is empty")
    return str(question).strip()


def _parse_settings(arguments: argparse.Namespace) -> ChatSettings:
    try:
        options, extra = merge_pairs(arguments.option), merge_pairs(arguments.extra)
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
        extra=extra,
    )
