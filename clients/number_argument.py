"""Numbers on the command line, with their ranges, for argparse."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def require_at_least(lowest: Number) -> Callable[[str], Number]:
    """Return a parser of numbers of the type of `lowest` that refuses smaller ones."""
    kind = type(lowest)

    def parse(text: str) -> Number:
        value = _parse_number(kind, text)
        if not lowest <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: should be {lowest} or more")
        return value

    return parse


def parse_share(text: str) -> float:
    """Parse a number above 0 and at most 1."""
    value = _parse_number(float, text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: should be above 0 and at most 1")
    return value


def parse_optional_seed(text: str) -> int | None:
    """Parse a whole number or ``none``."""
    return None if text == "none" else _parse_number(int, text)


def _parse_number(kind: type[Number], text: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        article = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {article}") from error
