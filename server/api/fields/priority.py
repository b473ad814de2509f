"""The field ``priority`` of OpenAI-compatible bodies, with vLLM's meaning. Knows no queue."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

MAX_PRIORITY = 2**63 - 1


def _check_priority(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_PRIORITY:
        raise PydanticCustomError(
            "priority",
            "should be from 0, the priority of the key, to 2^63 - 1: higher values are served "
            "later, and no request is served before others of its key's priority",
        )
    return value


Priority = Annotated[
    int | None,
    AfterValidator(_check_priority),
    Field(
        description="How far to wait behind the requests of the key's own priority; higher is "
        "later.",
        json_schema_extra={"minimum": 0, "maximum": MAX_PRIORITY},
    ),
]
