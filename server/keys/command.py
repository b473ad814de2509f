"""``python -m server.keys new`` and ``hash``: making keys. Keeps and reads no file.

A new key's entry goes to standard output, so that it can be appended to a file; its secret goes to
standard error, once.
"""

import argparse
import dataclasses
import getpass
import json
import sys
from collections.abc import Sequence
from typing import Any

from server.keys.reading import KeyFileError, read_keys
from server.keys.secret import WeakSecretError, hash_of, new_secret
from server.settings.quota import Quota

_QUOTAS = [field.name for field in dataclasses.fields(Quota)]
_NUMBERS = ("max_thinking_tokens", "priority", "max_concurrent_requests")
_SWITCHES = ("reads_metrics", "reads_traces")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "hash":
            sys.stdout.write(f"{hash_of(_read_secret())}\n")
        else:
            _write_new(given)
    except (KeyFileError, WeakSecretError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.keys", description="Make keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hash", help="Print the hash of a secret that is read from stdin.")
    new = commands.add_parser("new", help="Print a new key's entry, and on stderr its secret.")
    new.add_argument("--id", required=True, help="Its name in logs and metrics.")
    new.add_argument("--model", action="append", dest="models", help="A model it may use; all.")
    for name in (*_NUMBERS, *_QUOTAS):
        new.add_argument(_flag(name), type=int, metavar="N")
    for name in _SWITCHES:
        new.add_argument(_flag(name), action="store_true", default=None)
    new.add_argument("--hide-thoughts", action="store_false", dest="show_thoughts", default=None)
    return parser


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read_secret() -> str:
    """A terminal does not show it."""
    if sys.stdin.isatty():
        return getpass.getpass("secret: ")
    return sys.stdin.readline().rstrip("\r\n")


def _write_new(given: argparse.Namespace) -> None:
    secret = new_secret()
    entry = _entry(given, hash_of(secret))
    read_keys({"new key": entry})
    sys.stdout.write(entry)
    sys.stdout.flush()
    sys.stderr.write(f"the secret of {given.id}, shown only now: {secret}\n")


def _entry(given: argparse.Namespace, hashed: str) -> str:
    names = ("models", *_NUMBERS, "show_thoughts", *_SWITCHES)
    lines = ["[[keys]]", f"id = {_toml(given.id)}", f"hashes = {_toml([hashed])}"]
    lines += _assignments(given, names)
    quotas = _assignments(given, _QUOTAS)
    lines += ["[keys.quota]", *quotas] if quotas else []
    return "\n".join(lines) + "\n\n"


def _assignments(given: argparse.Namespace, names: Sequence[str]) -> list[str]:
    values = ((name, getattr(given, name)) for name in names)
    return [f"{name} = {_toml(value)}" for name, value in values if value is not None]


def _toml(value: Any) -> str:
    """Texts, lists, numbers and booleans are the same in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)
