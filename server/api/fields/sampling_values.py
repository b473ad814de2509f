"""Bounds of the sampling fields that answers and thoughts have alike. Knows no bodies."""

from typing import Annotated

from pydantic import AfterValidator, Field

# The likeliest token alone: the engine takes no 0, as OpenAI's API does.
_LOWEST_TOP_P = 1e-6
Temperature = Annotated[float | None, Field(ge=0, le=2)]
TopP = Annotated[
    Annotated[float, Field(ge=0, le=1), AfterValidator(lambda value: max(value, _LOWEST_TOP_P))]
    | None,
    Field(description="0: only the likeliest token."),
]
TopK = Annotated[int | None, Field(ge=-1, description="0, -1 or null: no limit.")]
MinP = Annotated[float | None, Field(ge=0, le=1)]
