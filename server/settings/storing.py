"""Options for the store of responses (docs/background.md)."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings


class StoringSettings(BaseSettings):
    """Place, number and age of the stored responses of /v1/responses."""

    response_store: SecretStr | None = Field(
        default=None,
        description="Store of responses: memory:// (this server only), or a Redis that several "
        "servers share: redis://, rediss:// or redis+unix:// (docs/background.md). A shared store "
        "needs THINKING_SERVER_THOUGHT_KEYS. Put a URL with a password into the environment "
        "variable. Default: memory://.",
    )
    response_store_timeout_seconds: PositiveFloat = Field(
        default=1.0, description="Timeout for a response of the shared store."
    )
    response_store_lease_seconds: PositiveFloat = Field(
        default=10.0,
        ge=1.0,
        description="A server that has not been heard of for this long is taken for dead: what it "
        "was writing in the background is marked as failed. Applies to a shared store.",
    )
    response_store_max_responses: NonNegativeInt = Field(
        default=1_000,
        description="Maximum number of responses of /v1/responses kept for previous_response_id, "
        "of all servers together if they share a store; the least recently used are removed "
        "first; 0 keeps none.",
    )
    response_store_max_bytes: PositiveInt = Field(
        default=256 * 2**20, description="Approximate maximum size of the stored responses."
    )
    response_store_hours: PositiveFloat = Field(
        default=24.0, description="Maximum age of a stored response."
    )
