"""``thinking map``: show where in a text a thought helps, as numbers and as a picture.

Holds the command line only; the work is done in ``clients/mapping``.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from clients.connection import Connection, add_connection_options
from clients.errors import ExitCode, UsageError
from clients.evaluation.results import ResultFiles
from clients.extras import require
from clients.mapping.gain_table import format_gain_table
from clients.mapping.heat_map import draw
from clients.mapping.map_stream import MapStream
from clients.mapping.thought_map import ThoughtMap
from clients.number_argument import parse_optional_seed, require_at_least

DEFAULT_OUTPUT = "map"
DEFAULT_ROWS = 8


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``map`` command."""
    parser = subparsers.add_parser(
        "map",
        help="show where in a text a thought helps",
        description="Let the server think after every position of a text, and report what that "
        "does to the probability of the next token: JSON, a table and a picture.",
        allow_abbrev=False,
    )
    parser.add_argument("text", nargs="?", help="the text to map, unless --file is given")
    parser.add_argument(
        "--file", metavar="FILE", help="read the text from a file; '-': from standard input"
    )
    parser.add_argument(
        "--messages",
        metavar="JSON",
        help="the conversation that the text replies to: a JSON list, or a file with one",
    )
    parser.add_argument("--question", metavar="TEXT", help="the conversation as one question")
    add_connection_options(parser)
    _add_thoughts(parser.add_argument_group("thoughts"))
    _add_report(parser.add_argument_group("report"))
    parser.set_defaults(run=run)


def _add_thoughts(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--thought-tokens",
        type=require_at_least(1),
        metavar="K",
        help="maximum tokens of one thought, markers included [the server's default]",
    )
    group.add_argument(
        "--mix",
        type=_parse_weights,
        default=[0.0, 0.25, 0.5, 0.75, 1.0],
        metavar="LIST",
        help="weights of the distribution after the thought [0,0.25,0.5,0.75,1]",
    )
    group.add_argument(
        "--temperature",
        type=require_at_least(0.0),
        metavar="T",
        help="sampling temperature [the server's default]",
    )
    group.add_argument(
        "--seed",
        type=parse_optional_seed,
        default=0,
        metavar="N",
        help="sampling seed; 'none': send no seed [0]",
    )
    group.add_argument(
        "--show-thoughts", action="store_true", help="keep the thoughts in the JSON file"
    )


def _add_report(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--output",
        default=DEFAULT_OUTPUT,
        metavar="PATH",
        help="write PATH.json, .md and .png [%(default)s]",
    )
    group.add_argument(
        "--rows",
        type=require_at_least(1),
        default=DEFAULT_ROWS,
        metavar="N",
        help="rows of the table [8]",
    )
    group.add_argument("--title", metavar="TEXT", help="title of the picture")
    group.add_argument(
        "--picture", action=argparse.BooleanOptionalAction, default=True, help="draw the PNG [yes]"
    )
    group.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="progress bar [only on a terminal]",
    )


def run(arguments: argparse.Namespace) -> int:
    """Request the map and write its files; write none unless the map is complete."""
    require("httpx", "openai", "tqdm", *(["matplotlib"] if arguments.picture else []))
    files = ResultFiles.from_output(arguments.output)
    body = _make_body(arguments)
    connection = Connection.from_arguments(arguments)
    thought_map = asyncio.run(_fetch(connection, body, arguments.progress))
    table = format_gain_table(thought_map, arguments.rows)
    contents = {"json": thought_map.to_json(), "md": table.encode()}
    if arguments.picture:
        contents["png"] = draw(thought_map, arguments.title)
    written = [files.write(ending, content) for ending, content in contents.items()]
    print(table, end="")
    print(f"thinking map: wrote {', '.join(map(str, written))}", file=sys.stderr)
    return ExitCode.OK


async def _fetch(connection: Connection, body: dict[str, Any], is_shown: bool | None) -> ThoughtMap:
    from tqdm import tqdm

    async with connection.make_openai_client() as client:
        body = {"model": await connection.fetch_model_name(client), **body}
    # tqdm's own None means: only on a terminal.
    is_hidden = None if is_shown is None else not is_shown
    with tqdm(unit="token", disable=is_hidden, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return await MapStream(connection).fetch(body, show)


def _make_body(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the request body without the model."""
    optional = {
        "messages": _read_messages(arguments),
        "thought_tokens": arguments.thought_tokens,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        "include_reasoning": arguments.show_thoughts or None,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    return {"text": _read_text(arguments), "mix": arguments.mix, **given}


def _read_text(arguments: argparse.Namespace) -> str:
    if (arguments.text is None) == (arguments.file is None):
        raise UsageError("which text? Give it as an argument, or its file as --file")
    if arguments.text is not None:
        return str(arguments.text)
    if arguments.file == "-":
        return sys.stdin.read().removesuffix("\n")
    return _read(arguments.file, "--file").removesuffix("\n")


def _read_messages(arguments: argparse.Namespace) -> list[Any] | None:
    if arguments.question is not None:
        if arguments.messages is not None:
            raise UsageError("--question and --messages: give one of them")
        return [{"role": "user", "content": arguments.question}]
    if arguments.messages is None:
        return None
    text = str(arguments.messages)
    if not text.lstrip().startswith("["):
        text = _read(text, "--messages")
    try:
        messages = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--messages: {error}") from error
    if not isinstance(messages, list):
        raise UsageError("--messages: should be a list of messages")
    return messages


def _read(path: str, option: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} {path}: is not UTF-8") from error


def _parse_weights(text: str) -> list[float]:
    """Parse ``0,0.5,1``."""
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if not weights or not all(0 <= weight <= 1 for weight in weights):
        message = f"{text!r}: should be numbers from 0 to 1, separated by commas"
        raise argparse.ArgumentTypeError(message)
    return weights
