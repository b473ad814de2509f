"""``thinking``: the client side of the command line.

Each command is a module with ``add_parser`` and ``run``; this module lists them and turns
errors into exit codes. Knows no command's options and imports no server code.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Protocol

from clients import (
    chat_command,
    compare_command,
    eval_command,
    export_command,
    map_command,
    verify_command,
)
from clients.errors import CommandError, ExitCode
from clients.extras import INSTALL

PROGRAM = "thinking"
DISTRIBUTION = "thinking-server"
SHELLS = ("bash", "zsh", "fish")


class Command(Protocol):
    """Module of one command."""

    @property
    def add_parser(self) -> "Callable[[argparse._SubParsersAction[argparse.ArgumentParser]], None]":
        """Function that adds the command and sets its ``run``, from arguments to exit status."""


COMMANDS: tuple[Command, ...] = (
    chat_command,
    eval_command,
    compare_command,
    map_command,
    verify_command,
    export_command,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``thinking`` and return the exit status."""
    parsed = make_parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except CommandError as error:
        say(f"error: {error.message}")
        return error.code
    except ModuleNotFoundError as error:
        say(f"error: this command needs {error.name}: {INSTALL}")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # as in `thinking … | head`
        sys.stderr.close()
        return ExitCode.FAILED


class _PrintCompletion(argparse.Action):
    """Prints a completion script of all commands."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, shell: object, *_: object
    ) -> None:
        """See :class:`argparse.Action`."""
        import shtab

        print(shtab.complete(parser, shell=str(shell)))
        parser.exit(0)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Chat with servers whose models think before they answer, and evaluate them.",
        allow_abbrev=False,
    )
    text = f"%(prog)s {version(DISTRIBUTION)}"
    parser.add_argument("--version", action="version", version=text)
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        help=f"print the completion for {', '.join(SHELLS)} and exit",
    )
    subparsers = parser.add_subparsers(required=True, metavar="command", title="commands")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def say(line: str) -> None:
    """Print one line to standard error."""
    print(f"{PROGRAM}: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
