"""The command line: our options, and every option of vLLM's engine beside them.

Two ordinary argparse parsers in a row. Ours comes first and needs no vLLM (``--help``
is instant); what it leaves over goes to vLLM's. Does not know what the options do.
"""

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError

from server.hub.model_resolution import may_need_hub
from server.process.environment import set_process_defaults
from server.process.parent_watch import SERVER_PID_VARIABLE, watch_parent
from server.settings.option_table import Option, options
from server.settings.settings import ServerSettings

PROGRAM = "thinking-server"
EXIT_USAGE = 2

# Whatever starts the server imports this file; multiprocessing imports that again in each child.
watch_parent()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of ``thinking-server``; ends the process with the server's exit code."""
    parser = _own_parser()
    os.environ[SERVER_PID_VARIABLE] = str(os.getpid())
    own, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    flags = vars(own)
    match flags.pop("help", None):
        case "engine":
            _engine_parser().parse_args(["--help=all"])
        case str():
            parser.print_help()
            sys.exit(0)
    settings = read_settings(flags)
    # Before anything of vLLM's or the hub's is imported: both read them on import.
    set_process_defaults(
        needs_hub=may_need_hub(settings.model), logs_json=settings.log_format == "json"
    )
    engine_options = parse_engine_options(rest) if rest else {}
    from server.serve import run  # the web framework: not needed for --help

    sys.exit(run(settings, engine_options))


def read_settings(flags: Mapping[str, Any]) -> ServerSettings:
    """Settings from flags over environment over defaults; ends the process on a bad value."""
    if "@" in flags.get("quota_storage", ""):
        # Everyone on the machine can read a command line.
        where = "THINKING_SERVER_QUOTA_STORAGE"
        print(f"{PROGRAM}: error: --quota-storage: put a password into {where}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    try:
        return ServerSettings(**flags)
    except ValidationError as error:
        for problem in error.errors():
            option = str(problem["loc"][0]) if problem["loc"] else ""
            where = next((_where(o, flags) for o in options() if o.field == option), option)
            print(f"{PROGRAM}: error: {where}: {problem['msg']}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parse_engine_options(arguments: Sequence[str]) -> dict[str, Any]:
    """The engine options that are given explicitly, by vLLM's names.

    Ends the process with status 2 on an option that neither we nor vLLM know.
    """
    import dataclasses

    from vllm.engine.arg_utils import AsyncEngineArgs

    names = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
    # argparse fills in a default only where the namespace holds nothing yet.
    untouched = object()
    namespace = argparse.Namespace(**dict.fromkeys(names, untouched))
    parsed = vars(_engine_parser().parse_args(list(arguments), namespace))
    return {name: parsed[name] for name in names if parsed[name] is not untouched}


def nearest(unknown: str, known: Iterable[str]) -> str | None:
    """The known option that `unknown` most likely means."""
    name = unknown.partition("=")[0].replace("_", "-")
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def _own_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="An OpenAI-compatible server whose models think within a budget.",
        epilog="Every option of vLLM's engine is accepted too: --help=engine lists them.",
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "-h", "--help", nargs="?", const="own", metavar="engine", help="Show options and end."
    )
    for option in options():
        _add(parser, option)
    return parser


def _engine_parser() -> argparse.ArgumentParser:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class EngineParser(FlexibleArgumentParser):  # type: ignore[misc, unused-ignore]
        """vLLM's parser; an unknown option is answered with the nearest known one."""

        def error(self, message: str) -> NoReturn:
            unknown = message.partition("unrecognized arguments: ")[2].split()
            known = [*self._option_string_actions, *(option.flag for option in options())]
            guess = nearest(unknown[0], known) if unknown else None
            hint = f"; did you mean {guess}?" if guess else ""
            print(f"{PROGRAM}: error: {message}{hint}", file=sys.stderr)
            sys.exit(EXIT_USAGE)

    parser: argparse.ArgumentParser = EngineParser(prog=PROGRAM, allow_abbrev=False)
    return AsyncEngineArgs.add_cli_args(parser)  # type: ignore[no-any-return]


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    default = f" [{option.default}]" if option.default else ""
    text = f"{option.meaning}{default} ({option.variable})".replace("%", "%%")
    if option.is_switch:
        parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
    else:
        kind = json.loads if option.is_json else str
        parser.add_argument(option.flag, metavar="VALUE", type=kind, help=text)


def _where(option: Option, flags: Mapping[str, Any]) -> str:
    return option.flag if option.field in flags else option.variable
