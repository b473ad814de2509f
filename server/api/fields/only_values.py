"""Fields of other APIs that are accepted only with values that have no effect.

Ignoring other values would silently give a wrong reply, so they are refused. Does not know the
fields.
"""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


class OnlyValues(BeforeValidator):
    """Validator that accepts None and `values` only; `why` begins the message for other values."""

    def __init__(self, *values: Any, why: str = "is not supported yet") -> None:
        shown = " or ".join(map(_format_value, values))

        def check(value: Any) -> Any:
            # `True == 1`: compare types too.
            if any(type(value) is type(known) and value == known for known in (None, *values)):
                return value
            hint = f" (only {shown} is accepted)" if shown else ""
            raise PydanticCustomError("not_supported", "{text}", {"text": f"{why}{hint}"})

        super().__init__(check)


def _format_value(value: Any) -> str:
    """Return a value as JSON; a string without its quotes, unless it is empty."""
    return value if isinstance(value, str) and value else json.dumps(value)


def to_enum_schema(*values: Any) -> WithJsonSchema:
    """Return the JSON schema of a field that accepts null and `values` only."""
    return WithJsonSchema({"enum": [None, *values]})


Unsupported = Annotated[None, OnlyValues(), to_enum_schema()]
