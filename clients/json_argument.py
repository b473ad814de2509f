"""``name=json`` arguments, and dotted names for fields of nested objects.

Strict on purpose: a value that is not JSON is more often a quoting mistake than a string.
"""

import argparse
import json
from collections.abc import Iterable
from typing import Any

JsonPair = tuple[str, Any]


def parse_json_pair(text: str) -> JsonPair:
    """Parse ``gate={"mode": "off"}`` into name and value, for argparse."""
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
    """Set the field at `path`, whose dots address nested objects.

    Raises:
        ValueError: the field is already set, or a parent is not an object.
    """
    *parents, name = path.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
        if not isinstance(body, dict):
            raise ValueError(f"{path}: {parent} is not an object")
    if name in body:
        raise ValueError(f"{path} is set twice")
    body[name] = value


def merge_pairs(pairs: Iterable[JsonPair]) -> dict[str, Any]:
    """Return the object that `pairs` describe.

    Raises:
        ValueError: two of them set the same field.
    """
    result: dict[str, Any] = {}
    for path, value in pairs:
        set_field(result, path, value)
    return result
