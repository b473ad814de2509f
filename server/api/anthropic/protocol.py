"""The bodies of ``POST /v1/messages`` and ``/v1/messages/count_tokens``.

Every field that Anthropic's clients may send is declared here: it is used, accepted if it has no
effect, or refused by name. Does not know the thinking fields, which ``server.dialects`` reads.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from server.api.anthropic.blocks import CacheControl, Content, SystemContent, validation_error
from server.api.anthropic.tools import AnyTool, ToolChoice
from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, Unsupported, to_enum_schema
from server.api.fields.sampling import get_requested_sampling
from server.api.fields.structured import JsonSchema
from server.api.fields.thinking import ThinkingBody
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import collect_literals, serialize_schema
from server.dialects.readers import EFFORT
from server.prompt.messages import MAX_MESSAGES

MAX_STOP_SEQUENCES = 64


class TurnMessage(StrictModel):
    """Turn of a conversation. A `system` turn is an instruction inside the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Content


class OutputFormat(StrictModel):
    """``output_config.format``."""

    type: Literal["json_schema"]
    schema_: JsonSchema = Field(alias="schema", description="The JSON schema of the answer.")


class OutputConfig(StrictModel):
    """``output_config``: the format of the answer, and the effort."""

    # `effort` is read by ``server.dialects``.
    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema["properties"].update(effort=EFFORT.schema)
    )
    format: OutputFormat | None = Field(
        None, description="Format of the answer; the thought is not constrained."
    )


def _check_edits(edits: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Accept only edits that keep all thoughts, as Claude Code sends them: none is ever cleared."""
    for edit in edits or ():
        is_about_thoughts = str(edit.get("type")).startswith("clear_thinking_")
        if not (is_about_thoughts and edit.get("keep") == "all"):
            raise validation_error(
                'only "clear_thinking_…" with "keep": "all" is accepted: nothing is cleared'
            )
    return edits


class ContextManagement(StrictModel):
    """``context_management`` of Anthropic's beta: accepted if it has no effect."""

    edits: Annotated[list[dict[str, Any]] | None, AfterValidator(_check_edits)] = None


class CountTokensRequest(ThinkingBody):
    """Body of ``/v1/messages/count_tokens``: the fields that make up a prompt."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "max_completion_tokens": "use 'max_tokens'",
            "n": "this endpoint returns one reply; /v1/chat/completions supports 'n'",
            "output_format": "use 'output_config.format'",
            "response_format": "use 'output_config.format'",
            "stop": "use 'stop_sequences'",
        }
    )

    model: str
    messages: list[TurnMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    system: SystemContent | None = None
    tools: list[AnyTool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None

    # Ignored, as they do not affect the replies of this server.
    cache_control: CacheControl = None
    context_management: ContextManagement | None = None
    speed: Annotated[str | None, OnlyValues("standard"), to_enum_schema("standard")] = None
    mcp_servers: Annotated[Any, OnlyValues([]), to_enum_schema([])] = None


class MessagesRequest(CountTokensRequest):
    """Body of ``/v1/messages``."""

    max_tokens: int = Field(
        ge=1, description="Maximum number of tokens of thought and answer together."
    )
    stop_sequences: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=500)]] | None,
        Field(max_length=MAX_STOP_SEQUENCES, description="Matched in the answer only."),
    ] = None
    temperature: float | None = Field(
        None, ge=0, le=2, description="Up to 2, where Anthropic allows up to 1."
    )
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0, -1 or null: no limit.")
    stream: bool | None = None

    # Ignored, as they do not affect the replies of this server.
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: Unsupported = None
    inference_geo: Unsupported = None
    diagnostics: Unsupported = None

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling fields that were sent."""
        return get_requested_sampling(self)

    @property
    def constraint(self) -> AnswerConstraint | None:
        """Constraint on the answer; None: any text."""
        if self.output_config is None or self.output_config.format is None:
            return None
        schema = self.output_config.format.schema_
        return AnswerConstraint(
            ConstraintKind.JSON_SCHEMA,
            "output_config.format.schema",
            text=serialize_schema(schema),
            literals=collect_literals(schema),
        )
