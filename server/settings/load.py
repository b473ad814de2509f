"""Options: what happens under load, and how long anything may take."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings


class LoadSettings(BaseSettings):
    """Queue, deadlines, and budgets that shrink."""

    max_concurrent_requests: PositiveInt | None = Field(
        default=None,
        description="Engine requests (choices, branches of a search) that may run at a time; "
        "further requests wait in a queue. Default: as many as the engine batches "
        "(`--max-num-seqs`).",
    )
    max_queued_requests: NonNegativeInt = Field(
        default=256, description="Requests that may wait; further ones are a 429."
    )
    queue_timeout_seconds: PositiveFloat = Field(
        default=30.0, description="Longest wait in the queue; then a 429."
    )
    max_request_seconds: PositiveFloat | None = Field(
        default=None,
        description="Longest that a request may take, wait included; then a 504, or an error at "
        "the end of its stream. Default: any time.",
    )
    max_thinking_seconds: PositiveFloat | None = Field(
        default=None,
        description="Longest that the thoughts of a choice may take; then they are closed and "
        "the answer begins. Ceiling of the field of the same name. Default: any time.",
    )
    load_shrink_from: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Load (0 to 1) above which budgets that the client has not named in tokens "
        "shrink (docs/load.md); 1: never.",
    )
    load_shrink_floor: float = Field(
        default=0.1, gt=0, le=1, description="What is left of them at full load."
    )
