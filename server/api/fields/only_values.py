"""Fields of OpenAI's wire that are taken only where they change nothing.

Ignoring them would be a silent lie; each is refused by name instead.
"""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


class OnlyValues(BeforeValidator):
    """A field of the wire that this version takes only where it changes nothing."""

    def __init__(self, *values: Any, why: str = "is not supported yet") -> None:
        shown = " or ".join(map(_format_value, values))

        def check(value: Any) -> Any:
            # `True == 1`: compare types too.
            if any(type(value) is type(known) and value == known for known in (None, *values)):
                return value
            hint = f" (only {shown} is taken)" if shown else ""
            raise PydanticCustomError("not_supported", "{text}", {"text": f"{why}{hint}"})

        super().__init__(check)


def _format_value(value: Any) -> str:
    """As JSON has it; a text without its quotes, unless it is empty."""
    return value if isinstance(value, str) and value else json.dumps(value)


def to_enum_schema(*values: Any) -> WithJsonSchema:
    """The JSON schema of such a field."""
    return WithJsonSchema({"enum": [None, *values]})


Unsupported = Annotated[None, OnlyValues(), to_enum_schema()]
