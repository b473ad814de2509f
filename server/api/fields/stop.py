"""Stop strings of a body: they see the answer only."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

MAX_STOP_STRINGS = 16
MAX_STOP_CHARACTERS = 500  # of one: so much text is held back from a stream


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# The limit stands inside: on the outside pydantic would ask for the length of a null.
_Strings = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARACTERS)]],
    Field(max_length=MAX_STOP_STRINGS),
]
StopStrings = Annotated[
    _Strings | None,
    BeforeValidator(_to_list),
    Field(description=f"A string or up to {MAX_STOP_STRINGS}; they see the answer only."),
]
