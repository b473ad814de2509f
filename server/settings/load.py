"""Options for load handling and time limits."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings


class LoadSettings(BaseSettings):
    """Queue, deadlines, and the shrinking of budgets under load."""

    max_concurrent_requests: PositiveInt | None = Field(
        default=None,
        description="Maximum number of engine requests (choices, branches of a search) that run at "
        "a time; further requests wait in a queue. Default: the engine's batch size "
        "(`--max-num-seqs`).",
    )
    max_queued_requests: NonNegativeInt = Field(
        default=256, description="Maximum length of the queue; further requests get a 429."
    )
    queue_timeout_seconds: PositiveFloat = Field(
        default=30.0, description="Maximum wait in the queue; then a 429."
    )
    max_request_seconds: PositiveFloat | None = Field(
        default=None,
        description="Time limit for a request, queueing included; then a 504, or an error event at "
        "the end of the stream. Default: no limit.",
    )
    max_thinking_seconds: PositiveFloat | None = Field(
        default=None,
        description="Time limit for the thoughts of a choice; then the thought is closed and the "
        "answer begins. Upper bound for the request field of the same name. Default: no limit.",
    )
    load_shrink_from: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Load (0 to 1) above which budgets that were not requested in tokens shrink "
        "(docs/load.md); 1: never.",
    )
    load_shrink_floor: float = Field(
        default=0.1, gt=0, le=1, description="Fraction of these budgets that remains at full load."
    )
