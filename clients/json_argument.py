"""``name=json`` arguments, and names with dots for fields inside objects.

Strict on purpose: a value that is not JSON is a mistake in quoting more often than a string.
"""

import argparse
import json
from collections.abc import Iterable
from typing import Any

JsonPair = tuple[str, Any]


def json_pair(text: str) -> JsonPair:
    """``gate={"mode": "off"}`` as name and value, for argparse."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: should be name=json")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{name}: {value!r} is not JSON ({error}); a string needs its quotes: {name}='\"…\"'"
        ) from error


def set_field(body: dict[str, Any], path: str, value: Any) -> None:
    """Set the field at `path`, whose dots lead into objects.

    Raises:
        ValueError: something else is already there, or on the way there.
    """
    *parents, name = path.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
        if not isinstance(body, dict):
            raise ValueError(f"{path}: {parent} is not an object")
    if name in body:
        raise ValueError(f"{path} is set twice")
    body[name] = value


def as_object(pairs: Iterable[JsonPair]) -> dict[str, Any]:
    """The object that `pairs` spell.

    Raises:
        ValueError: two of them set the same field.
    """
    result: dict[str, Any] = {}
    for path, value in pairs:
        set_field(result, path, value)
    return result
