"""The server's own options: flag, environment variable (``THINKING_SERVER_…``), default.

A single model that the command line, the app and the table in the docs share. Does not contain the
options of vLLM's engine, which are passed through unchanged.
"""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import SettingsConfigDict

from server.settings.access import AccessSettings
from server.settings.engines import EngineSettings
from server.settings.http import HttpSettings
from server.settings.ledger import LedgerSettings
from server.settings.load import LoadSettings
from server.settings.observing import ObservingSettings
from server.settings.redaction_pattern import compile_redaction_pattern
from server.settings.storing import StoringSettings
from server.settings.thoughts import ThoughtSettings
from server.settings.words import Words
from thinking.budget import Effort


class ServerSettings(
    AccessSettings,
    LoadSettings,
    ObservingSettings,
    LedgerSettings,
    HttpSettings,
    StoringSettings,
    ThoughtSettings,
    EngineSettings,
):
    """Options of ``thinking-server``."""

    model_config = SettingsConfigDict(env_prefix="THINKING_SERVER_", extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        description="Model to serve: an embedded model, a folder, or a hub id (owner/name). "
        "Default: smollm2-135m-instruct.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one."
    )
    served_model_name: Words = Field(
        default_factory=list,
        description="Names of the model in the API; responses have the first. Default: the name of "
        "the embedded model or folder.",
    )
    accept_any_model_name: bool = Field(
        default=False,
        description="Accept requests for any other model name too, and answer them with the served "
        "model.",
    )
    evaluation_file: str | None = Field(
        default=None,
        description="Report of `thinking eval` (its .json file) on this model, for the playground. "
        "Default: thinking_evaluation.json beside the model's weights, if there is one.",
    )
    default_thinking_tokens: NonNegativeInt | None = Field(
        default=None,
        description="Thinking budget of a request that does not set one. Default: 4096 for models "
        "that were trained to think, 128 for others.",
    )
    max_thinking_tokens: NonNegativeInt | None = Field(
        default=None, description="Upper bound for all budgets on this model. Default: none."
    )
    effort_tokens: dict[Effort, NonNegativeInt | None] = Field(
        default_factory=dict,
        description='Overrides of the effort table, as JSON: {"low": 512}; null: the ceiling.',
    )
    show_thoughts: bool = Field(
        default=True, description="Allow callers to request thoughts with include_reasoning."
    )
    advice: bool = Field(
        default=True,
        description="Add advice on prompts to receipts (docs/dialects.md). The text of a prompt is "
        "never changed.",
    )
    max_map_tokens: PositiveInt = Field(
        default=512, description="Maximum length of the text of a map, in tokens."
    )
    map_concurrency: PositiveInt = Field(
        default=64,
        description="Maximum number of engine requests that all maps together run at a time.",
    )
    keep_alive_seconds: PositiveFloat = Field(
        default=5.0,
        le=10.0,
        description="Maximum interval between SSE comments on a silent stream.",
    )
    max_body_bytes: PositiveInt = Field(
        default=4 * 2**20, description="Maximum size of a request body; larger bodies get a 413."
    )
    unknown_fields: Literal["ignore", "refuse"] = Field(
        default="ignore",
        description="Fields of a request that this server does not know: ignore them and name them "
        "in the header x-ignored-fields, or refuse them with a 400. Fields about thinking, typing "
        "errors of known fields and unsupported sampling fields are always refused.",
    )
    drain_seconds: PositiveFloat = Field(
        default=30.0, description="Time that open requests have to finish after SIGTERM."
    )
    thinking_start: str | None = Field(
        default=None, description="Marker that starts a thought. Default: detected from the model."
    )
    thinking_end: str | None = Field(
        default=None, description="Marker that ends a thought. Default: detected from the model."
    )
    thinking_primer: str | None = Field(
        default=None,
        description="Text forced after the start marker. Default: set by the model's profile.",
    )
    thinking_lead_in: str | None = Field(
        default=None,
        description="Hidden text forced after the end marker. Default: set by the model's profile.",
    )
    tool_call_parser: str | None = Field(
        default=None,
        min_length=1,
        description="vLLM's parser for the model's tool calls (docs/tools.md). Default: detected "
        "from the chat template.",
    )
    scorer_url: str | None = Field(
        default=None,
        min_length=1,
        pattern="^https?://",
        description="Reward model that scores the branches of a search: base URL of a vLLM pooling "
        "server, or the URL of another scorer. Default: none. Its bearer token is read from "
        "THINKING_SERVER_SCORER_TOKEN.",
    )
    scorer_api: Literal["classify", "http"] = Field(
        default="classify",
        description="API of the reward model: vLLM's /classify on token ids of this model's "
        "tokenizer, or this project's http API (docs/strategies.md).",
    )
    scorer_model: str | None = Field(
        default=None, description="Name of the reward model, if its server requires one."
    )
    scorer_timeout_seconds: PositiveFloat = Field(
        default=30.0, description="Timeout for a response of the reward model."
    )
    trace_store: str | None = Field(
        default=None,
        min_length=1,
        description="SQLite file that stores requests with their hidden thoughts, for feedback "
        "and export. Default: none; nothing is stored.",
    )
    trace_days: PositiveFloat = Field(
        default=30.0, description="Maximum age of a trace; older ones are deleted."
    )
    trace_max_rows: PositiveInt = Field(
        default=100_000,
        description="Maximum number of stored traces; the oldest are deleted first.",
    )
    trace_max_bytes: PositiveInt = Field(
        default=2**30,
        description="Maximum size of the stored traces; the oldest are deleted first.",
    )
    trace_redact: list[str] = Field(
        default_factory=list,
        description="JSON list of regular expressions; matching text is replaced before a trace is "
        "written.",
    )
    trace_queue: PositiveInt = Field(
        default=256,
        description="Maximum number of traces that wait to be written; further traces are dropped "
        "and counted.",
    )

    @field_validator("trace_redact")
    @classmethod
    def _check_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            compile_redaction_pattern(pattern)
        return patterns
