"""Options for thoughts that were cut and may go on later (docs/continuing.md)."""

from pydantic import Field, NonNegativeInt, PositiveFloat
from pydantic_settings import BaseSettings


class ThoughtSettings(BaseSettings):
    """The store of sealed thoughts."""

    thought_store_max_bytes: NonNegativeInt = Field(
        default=64 * 2**20,
        description="Maximum size of the sealed thoughts kept in memory for clients that hung up; "
        "the least recently used are removed first; 0 keeps none.",
    )
    thought_store_minutes: PositiveFloat = Field(
        default=60.0, description="Maximum age of a kept sealed thought."
    )
