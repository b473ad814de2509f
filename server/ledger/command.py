"""``thinking-server ledger``: sums up what was used, exports rows, and checks receipts.

Reads the database that the server writes, also while it writes. Changes nothing.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from server.ledger.errors import LedgerConfigError, LedgerMissingError, LedgerStoreError
from server.ledger.period import ALL_TIME, parse_month
from server.ledger.row import format_decimal
from server.ledger.signing import KEYS_VARIABLE, LedgerKeyError, RowSigner
from server.ledger.verification import check_line
from server.settings.option_table import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from server.ledger.store import LedgerStore

URL_VARIABLE = f"{ENVIRONMENT_PREFIX}LEDGER"
TIMEOUT_SECONDS = 30.0
EXIT_MISMATCH = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = _build_parser().parse_args(arguments)
    try:
        store = _open_store(getattr(options, "ledger", os.environ.get(URL_VARIABLE)))
        match options.command:
            case "verify":
                return _verify(store, options)
            case "export":
                _write_json_lines(row.to_dict() for row in store.read_rows(*_get_period(options)))
            case _:
                _write_sums(store.sum_up(options.by, *_get_period(options)), options)
    except (LedgerConfigError, LedgerStoreError, LedgerKeyError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    return 0


def _build_parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--ledger",
        metavar="URL",
        default=argparse.SUPPRESS,
        help=f"The database. Default: the value of {URL_VARIABLE}.",
    )
    month = argparse.ArgumentParser(add_help=False)
    month.add_argument(
        "--month",
        metavar="YYYY-MM",
        default=argparse.SUPPRESS,
        help="A month in UTC. Default: all rows.",
    )
    parser = argparse.ArgumentParser(
        prog="thinking-server ledger",
        description="Sum up what was used, and what it costs.",
        parents=[shared, month],
    )
    _add_sum_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="export | verify")
    commands.add_parser(
        "export", parents=[shared, month], help="Print rows as JSON lines, with their signatures."
    )
    verify = commands.add_parser(
        "verify", parents=[shared], help="Check receipts that clients have kept."
    )
    verify.add_argument("file", metavar="FILE", help="Response bodies or receipts as JSON lines.")
    verify.add_argument("--json", action="store_true", help="Print JSON lines.")
    return parser


def _add_sum_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=("key", "model", "day"), default="key")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="Print JSON lines.")
    form.add_argument("--csv", action="store_true", help="Print CSV.")


def _open_store(url: str | None) -> "LedgerStore":
    if not url:
        raise LedgerConfigError(f"say which database: --ledger URL, or {URL_VARIABLE}")
    try:
        from server.ledger.store import LedgerStore, parse_url
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise LedgerMissingError from None
    store = LedgerStore(parse_url(url), TIMEOUT_SECONDS)
    store.check()
    return store


def _get_period(options: argparse.Namespace) -> tuple[Any, Any]:
    month = getattr(options, "month", None)
    period = ALL_TIME if month is None else parse_month(month)
    return period.since, period.until


def _write_sums(sums: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    rows = [
        {name: format_decimal(v) if isinstance(v, Decimal) else v for name, v in row.items()}
        for row in sums
    ]
    if options.json:
        _write_json_lines(iter(rows))
    elif not rows:
        sys.stderr.write("no rows\n")
    elif options.csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _write_table(rows, sys.stdout)


def _write_table(rows: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    cells = [[name.replace("_", " ") for name in rows[0]]]
    cells += [["-" if value is None else str(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = (
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        out.write("  ".join([first, *others]).rstrip() + "\n")


def _write_json_lines(objects: Iterator[Mapping[str, Any]]) -> None:
    for value in objects:
        sys.stdout.write(json.dumps(value) + "\n")


def _verify(store: "LedgerStore", options: argparse.Namespace) -> int:
    signer = RowSigner.from_environment()
    if not signer.has_keys:
        raise LedgerConfigError(f"needs the keys that signed the rows, in {KEYS_VARIABLE}")
    num_bad = 0
    with Path(options.file).open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            for verdict in check_line(store, signer, number, text):
                num_bad += not verdict.is_match
                if options.json:
                    _write_json_lines(iter([verdict.to_dict()]))
                else:
                    choice = "" if verdict.choice is None else f" choice {verdict.choice}"
                    name = f"{verdict.request_id}{choice}: " if verdict.request_id else ""
                    sys.stdout.write(f"line {number}: {name}{verdict.problem}\n")
    return EXIT_MISMATCH if num_bad else 0
