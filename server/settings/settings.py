"""The server's own options: flag, environment variable (``THINKING_SERVER_…``), default.

One model, read by the command line, the app and the docs' table. Options of vLLM's
engine are not here: they pass through untouched.
"""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import SettingsConfigDict

from server.settings.access import AccessSettings
from server.settings.http import HttpSettings
from server.settings.load import LoadSettings
from server.settings.observing import ObservingSettings
from server.settings.redaction_pattern import redaction_pattern
from thinking.budget import Effort


class ServerSettings(AccessSettings, LoadSettings, ObservingSettings, HttpSettings):
    """Options of ``thinking-server``."""

    model_config = SettingsConfigDict(env_prefix="THINKING_SERVER_", extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        description="Model to serve: an embedded model's name, a folder, or a hub id (owner/name). "
        "Default: smollm2-135m-instruct.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one."
    )
    served_model_name: str | None = Field(
        default=None,
        description="Name of the model on the wire; default: the embedded model's or the "
        "folder's name.",
    )
    default_thinking_tokens: NonNegativeInt | None = Field(
        default=None,
        description="Budget of a request that names none. Default: 4096 for models that "
        "were trained to think, 128 for others.",
    )
    max_thinking_tokens: NonNegativeInt | None = Field(
        default=None, description="Ceiling of every budget on this model; default: none."
    )
    effort_tokens: dict[Effort, NonNegativeInt | None] = Field(
        default_factory=dict,
        description='Overrides of the effort table, as JSON: {"low": 512}. null: the ceiling.',
    )
    show_thoughts: bool = Field(
        default=True, description="Whether callers may ask for thoughts with include_reasoning."
    )
    advice: bool = Field(
        default=True,
        description="Whether receipts give advice on prompts (docs/dialects.md). The text of a "
        "prompt is never changed.",
    )
    max_map_tokens: PositiveInt = Field(
        default=512, description="Longest text, in tokens, that a map may be made of."
    )
    map_concurrency: PositiveInt = Field(
        default=64,
        description="Engine requests that all maps together may have at a time.",
    )
    keep_alive_seconds: PositiveFloat = Field(
        default=5.0,
        le=10.0,
        description="An SSE comment is sent at least this often on a silent stream.",
    )
    max_body_bytes: PositiveInt = Field(
        default=4 * 2**20, description="Larger request bodies are a 413."
    )
    drain_seconds: PositiveFloat = Field(
        default=30.0, description="After SIGTERM, how long open requests may go on."
    )
    thinking_start: str | None = Field(
        default=None, description="Start marker; default: found from the model."
    )
    thinking_end: str | None = Field(
        default=None, description="End marker; default: found from the model."
    )
    thinking_primer: str | None = Field(
        default=None, description="Text forced after the start marker; default: by profile."
    )
    thinking_lead_in: str | None = Field(
        default=None, description="Text forced, hidden, after the end marker; default: by profile."
    )
    tool_call_parser: str | None = Field(
        default=None,
        min_length=1,
        description="vLLM's parser that reads the model's tool calls (docs/tools.md); default: "
        "found from the chat template.",
    )
    scorer_url: str | None = Field(
        default=None,
        min_length=1,
        pattern="^https?://",
        description="Reward model that judges branches of a search: base URL of a vLLM pooling "
        "server, or the URL of any scorer; default: none. A bearer token for it is read from "
        "THINKING_SERVER_SCORER_TOKEN.",
    )
    scorer_api: Literal["classify", "http"] = Field(
        default="classify",
        description="What it speaks: vLLM's /classify on token ids (of this model's tokenizer), "
        "or our own http (docs/strategies.md).",
    )
    scorer_model: str | None = Field(
        default=None, description="Name of the reward model, where its server needs one."
    )
    scorer_timeout_seconds: PositiveFloat = Field(
        default=30.0, description="How long one answer of the reward model may take."
    )
    response_store_max_responses: NonNegativeInt = Field(
        default=1_000,
        description="Most responses of /v1/responses that are kept, in memory, for "
        "previous_response_id; the least recently used go first; 0 keeps none.",
    )
    response_store_max_bytes: PositiveInt = Field(
        default=256 * 2**20, description="Most bytes of them, about."
    )
    response_store_hours: PositiveFloat = Field(
        default=24.0, description="Older ones are forgotten."
    )
    trace_store: str | None = Field(
        default=None,
        min_length=1,
        description="SQLite file that keeps requests with their hidden thoughts, for feedback "
        "and export; default: none, nothing is kept.",
    )
    trace_days: PositiveFloat = Field(default=30.0, description="Older traces are deleted.")
    trace_max_rows: PositiveInt = Field(
        default=100_000, description="Most traces that are kept; the oldest go first."
    )
    trace_max_bytes: PositiveInt = Field(
        default=2**30, description="Most bytes of traces that are kept; the oldest go first."
    )
    trace_redact: list[str] = Field(
        default_factory=list,
        description="Regular expressions, as a JSON list: what matches is replaced before "
        "anything is written.",
    )
    trace_queue: PositiveInt = Field(
        default=256,
        description="Traces that may wait to be written; further ones are dropped and counted.",
    )

    @field_validator("trace_redact")
    @classmethod
    def _are_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            redaction_pattern(pattern)
        return patterns
