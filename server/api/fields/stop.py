"""Stop strings of a body, which are matched in the answer only. Matches nothing itself."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

MAX_STOP_STRINGS = 64
MAX_STOP_CHARACTERS = 500  # of one string; a stream holds back as much text


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# The limit is on the list, not on the union: there, pydantic would take the length of None.
_Strings = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARACTERS)]],
    Field(max_length=MAX_STOP_STRINGS),
]
StopStrings = Annotated[
    _Strings | None,
    BeforeValidator(_to_list),
    Field(description=f"A string, or up to {MAX_STOP_STRINGS}. Matched in the answer only."),
]
