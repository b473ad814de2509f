"""Numbers on the command line, with their ranges, for argparse."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def at_least(lowest: Number) -> Callable[[str], Number]:
    """A parser of numbers of the kind of `lowest`, none below it."""
    kind = type(lowest)

    def parse(text: str) -> Number:
        value = _number(kind, text)
        if not lowest <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: should be {lowest} or more")
        return value

    return parse


def share(text: str) -> float:
    """Above 0, at most 1."""
    value = _number(float, text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: should be above 0 and at most 1")
    return value


def optional_seed(text: str) -> int | None:
    """A whole number, or ``none``."""
    return None if text == "none" else _number(int, text)


def _number(kind: type[Number], text: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        article = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {article}") from error
