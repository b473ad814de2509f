"""Options for engines elsewhere (docs/fleet.md)."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings

from server.settings.words import Words


class EngineSettings(BaseSettings):
    """Places of engines that other processes run, and how long they are waited for."""

    engine_url: Words = Field(
        default_factory=list,
        description="URLs of engines elsewhere, or of a router before them (docs/fleet.md); this "
        "server then starts none. NAME=URL: of the model NAME, one of several. An engine is "
        "`vllm serve MODEL --tokens-only` with the plugin of thinking-server. Their key is in the "
        "variable THINKING_SERVER_ENGINE_KEY.",
    )
    models_file: str | None = Field(
        default=None,
        description="TOML file of the models whose engines are elsewhere: a table for each, with "
        "`model`, `engine_url` and the model's own thinking options (docs/fleet.md).",
    )
    api_processes: PositiveInt = Field(
        default=1,
        le=256,
        description="Number of processes that serve on the port together, with --engine-url "
        "(docs/processes.md). Limits of this server are divided among them.",
    )
    engine_ca: str | None = Field(
        default=None,
        description="File of the certificates that engines at https:// are checked against. "
        "Default: the system's.",
    )
    engine_connect_timeout_seconds: PositiveFloat = Field(
        default=5.0, description="Time for a connection to an engine elsewhere."
    )
    engine_silence_seconds: PositiveFloat = Field(
        default=300.0,
        description="An engine elsewhere that sends nothing for so long, to a request that it has "
        "accepted, is taken for lost.",
    )
    engine_wait_seconds: PositiveFloat = Field(
        default=30.0,
        description="Time for which a reply whose engine is lost waits for one that is ready.",
    )
    max_migrations: NonNegativeInt = Field(
        default=3,
        description="Number of times that a choice may go on in another engine when its own is "
        "lost; then an error; 0: never.",
    )
