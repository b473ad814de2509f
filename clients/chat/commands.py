"""The commands of a conversation: ``/budget 64`` and the others. Knows neither terminal nor HTTP.

A command changes the session and returns lines to show; what it cannot do itself, it asks for.
"""

import argparse
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from clients.chat.receipt_text import format_receipt
from clients.chat.session import ChatSession
from clients.chat.settings import EFFORTS
from clients.chat.transcript import write_transcript
from clients.errors import UsageError
from clients.json_argument import parse_json_pair

DEFAULT = "default"
OPTION_NAMES = (
    "answer_reserve",
    "continuation",
    "early_exit",
    "gate",
    "grace",
    "kind",
    "loop_guard",
    "max_segments",
    "mix",
    "sampling",
    "segment_tokens",
    "strategy",
    "turn",
    "wrap_up",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a command: lines to show, and what the conversation is to do then.

    `retries`: ask the last question again. `lists_models`: show the names of the server's models.
    """

    text: str = ""
    retries: bool = False
    lists_models: bool = False
    quits: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command; `values` are those that its argument is completed to."""

    argument: str
    help: str
    run: Callable[[ChatSession, str], Outcome]
    values: Sequence[str] = ()


def is_command(line: str) -> bool:
    """Return whether `line` is a command; a question may begin with two slashes."""
    return line.startswith("/") and not line.startswith("//")


def to_question(line: str) -> str:
    """Return the question that `line` is."""
    return line[1:] if line.startswith("//") else line


def escape_question(question: str) -> str:
    """Return the line that `question` is typed as."""
    return f"/{question}" if question.startswith("/") else question


def run_command(session: ChatSession, line: str) -> Outcome:
    """Carry out the command in `line`.

    Raises:
        UsageError: there is no such command, or its argument cannot be used.
    """
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, list(COMMANDS), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "/help lists the commands"
        raise UsageError(f"unknown command {name}: {hint}")
    if argument.strip() and not command.argument:
        raise UsageError(f"{name} takes no argument")
    return command.run(session, argument.strip())


def format_help() -> str:
    """Return a line for each command, and how to type."""
    heads = {f"{name} {command.argument}".strip(): command for name, command in COMMANDS.items()}
    width = max(map(len, heads)) + 2
    lines = [f"{head:{width}}{command.help}" for head, command in heads.items()]
    return "\n".join([*lines, "", *_KEYS])


_KEYS = (
    "Enter sends; Alt-Enter begins a line; Tab completes commands and their values.",
    "Ctrl-C ends a thought, and the answer comes; again, or while it comes, stops the reply.",
    "Ctrl-D quits. A question that begins with a slash is typed with two.",
)


def _set_budget(session: ChatSession, argument: str) -> Outcome:
    if argument == DEFAULT:
        session.settings = session.settings.with_budget(None)
    elif argument.isascii() and argument.isdecimal():
        session.settings = session.settings.with_budget(int(argument))
    elif argument:
        raise UsageError(f"/budget {argument}: should be a number of tokens, or {DEFAULT}")
    return Outcome(session.settings.describe_thinking())


def _set_effort(session: ChatSession, argument: str) -> Outcome:
    if argument == DEFAULT:
        session.settings = session.settings.with_effort(None)
    elif argument in EFFORTS:
        session.settings = session.settings.with_effort(argument)
    elif argument:
        raise UsageError(f"/effort {argument}: should be one of {', '.join(EFFORTS)}, {DEFAULT}")
    return Outcome(session.settings.describe_thinking())


def _set_thoughts(session: ChatSession, argument: str) -> Outcome:
    if argument not in ("", "on", "off"):
        raise UsageError(f"/thoughts {argument}: should be on or off")
    shows = argument == "on" if argument else not session.settings.shows_thoughts
    session.settings = replace(session.settings, shows_thoughts=shows)
    return Outcome(f"thoughts are {'shown' if shows else 'hidden'}")


def _set_system(session: ChatSession, argument: str) -> Outcome:
    if argument:
        system = None if argument == DEFAULT else argument
        session.settings = replace(session.settings, system=system)
    if session.settings.system is None:
        return Outcome("no system message")
    return Outcome(f"system message: {session.settings.system}")


def _set_model(session: ChatSession, argument: str) -> Outcome:
    if not argument:
        return Outcome(lists_models=True)
    session.model = argument
    return Outcome(f"model {argument}")


def _set_option(session: ChatSession, argument: str) -> Outcome:
    options = dict(session.settings.options)
    if argument == DEFAULT:
        options = {}
    elif argument.endswith("=") or "=" not in argument:
        options.pop(argument.removesuffix("="), None)
    else:
        try:
            name, value = parse_json_pair(argument)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"/option {error}") from error
        options[name] = value
    session.settings = replace(session.settings, options=options)
    return Outcome(f"thinking_options: {options or 'none'}")


def _show_receipt(session: ChatSession, argument: str) -> Outcome:
    if not session.turns:
        raise UsageError("/receipt: nothing was answered yet")
    return Outcome(format_receipt(session.turns[-1]))


def _retry(session: ChatSession, argument: str) -> Outcome:
    if not session.turns:
        raise UsageError("/retry: nothing was answered yet")
    return Outcome(retries=True)


def _save(session: ChatSession, argument: str) -> Outcome:
    if not argument:
        raise UsageError("/save: name a file; one that ends in .json has the receipts too")
    if not session.turns:
        raise UsageError("/save: nothing was answered yet")
    return Outcome(f"saved to {write_transcript(session, argument)}")


def _clear(session: ChatSession, argument: str) -> Outcome:
    session.turns.clear()
    return Outcome("a new conversation")


def _help(session: ChatSession, argument: str) -> Outcome:
    return Outcome(format_help())


def _quit(session: ChatSession, argument: str) -> Outcome:
    return Outcome(quits=True)


COMMANDS: Mapping[str, Command] = {
    "/budget": Command(
        "N",
        "think for at most N tokens; default: as the server does",
        _set_budget,
        ("0", "64", "128", "256", "512", "1024", DEFAULT),
    ),
    "/effort": Command("LEVEL", "an effort instead of N", _set_effort, (*EFFORTS, DEFAULT)),
    "/thoughts": Command(
        "on|off", "show thoughts, where the key may", _set_thoughts, ("on", "off")
    ),
    "/system": Command("TEXT", "the system message; default: none", _set_system),
    "/model": Command("NAME", "talk to another model; without a name: list them", _set_model),
    "/option": Command(
        "NAME=JSON",
        "a field of thinking_options; NAME= takes it back",
        _set_option,
        tuple(f"{name}=" for name in OPTION_NAMES),
    ),
    "/receipt": Command("", "the receipt of the last reply", _show_receipt),
    "/retry": Command("", "ask the last question again", _retry),
    "/save": Command("FILE", "save the conversation; with receipts if FILE ends in .json", _save),
    "/clear": Command("", "begin a new conversation; the settings stay", _clear),
    "/help": Command("", "this list", _help),
    "/quit": Command("", "quit (like Ctrl-D)", _quit),
}
