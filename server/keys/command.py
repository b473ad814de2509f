"""``python -m server.keys new`` and ``hash``: create keys. Reads and writes no file.

The entry of a new key goes to standard output, so that it can be appended to a file; its secret
is written to standard error, once.
"""

import argparse
import dataclasses
import getpass
import json
import sys
from collections.abc import Sequence
from typing import Any

from server.keys.reading import KeyFileError, read_keys
from server.keys.secret import WeakSecretError, generate_secret, hash_secret
from server.settings.quota import Quota

_QUOTAS = [field.name for field in dataclasses.fields(Quota)]
_NUMBERS = ("max_thinking_tokens", "priority", "max_concurrent_requests")
_SWITCHES = ("reads_metrics", "reads_traces")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _build_parser()
    options = parser.parse_args(arguments)
    try:
        if options.command == "hash":
            sys.stdout.write(f"{hash_secret(_read_secret())}\n")
        else:
            _write_new(options)
    except (KeyFileError, WeakSecretError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.keys", description="Create keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hash", help="Read a secret from stdin and print its hash.")
    new = commands.add_parser("new", help="Print a new key's entry, and its secret on stderr.")
    new.add_argument("--id", required=True, help="Its name in logs and metrics.")
    new.add_argument(
        "--model",
        action="append",
        dest="models",
        help="A model it may use (repeatable). Default: all.",
    )
    for name in (*_NUMBERS, *_QUOTAS):
        new.add_argument(_to_flag(name), type=int, metavar="N")
    for name in _SWITCHES:
        new.add_argument(_to_flag(name), action="store_true", default=None)
    new.add_argument("--hide-thoughts", action="store_false", dest="show_thoughts", default=None)
    return parser


def _to_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read_secret() -> str:
    """Read a secret from stdin; a terminal does not echo it."""
    if sys.stdin.isatty():
        return getpass.getpass("secret: ")
    return sys.stdin.readline().rstrip("\r\n")


def _write_new(options: argparse.Namespace) -> None:
    secret = generate_secret()
    entry = _format_entry(options, hash_secret(secret))
    read_keys({"new key": entry})
    sys.stdout.write(entry)
    sys.stdout.flush()
    sys.stderr.write(f"the secret of {options.id}, shown only now: {secret}\n")


def _format_entry(options: argparse.Namespace, hashed: str) -> str:
    names = ("models", *_NUMBERS, "show_thoughts", *_SWITCHES)
    lines = ["[[keys]]", f"id = {_to_toml(options.id)}", f"hashes = {_to_toml([hashed])}"]
    lines += _format_assignments(options, names)
    quotas = _format_assignments(options, _QUOTAS)
    lines += ["[keys.quota]", *quotas] if quotas else []
    return "\n".join(lines) + "\n\n"


def _format_assignments(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    values = ((name, getattr(options, name)) for name in names)
    return [f"{name} = {_to_toml(value)}" for name, value in values if value is not None]


def _to_toml(value: Any) -> str:
    """Format `value` as TOML: strings, lists, numbers and booleans are written as in JSON."""
    return json.dumps(value, ensure_ascii=False)
