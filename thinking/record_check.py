"""Checks the numbers of a record that came as plain data from another process.

The sampler's arrays hold int32: a number that they cannot hold would end the engine, not the
request. Knows types, not what a field means.
"""

from array import array
from dataclasses import fields
from typing import Any

MAX_INT = 2**31 - 1
_FLOATS = (float, float | None)


def check_numbers(record: Any) -> None:
    """Raise ValueError unless the numbers of a dataclass have the types that its fields declare.

    Integers, also those of tuples, are 0 to ``MAX_INT``. Fields of other types are not looked at.
    """
    for item in fields(record):
        value = getattr(record, item.name)
        if item.type is int:
            _check_integers(item.name, (value,))
        elif item.type == tuple[int, ...]:
            _check_integers(item.name, value)
        elif item.type is bool and not isinstance(value, bool):
            raise ValueError(f"{item.name}: must be true or false")
        elif item.type in _FLOATS and not (
            isinstance(value, int | float) or (value is None and item.type is not float)
        ):
            raise ValueError(f"{item.name}: must be a number")


def _check_integers(name: str, values: tuple[Any, ...]) -> None:
    try:
        fits = min(array("i", values), default=0) >= 0  # quick: there may be thousands
    except (TypeError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"{name}: must be 0 to {MAX_INT}")
