"""The bodies of ``POST /v1/messages`` and ``/v1/messages/count_tokens``.

Every field that Anthropic's clients may send is declared here: it is used, accepted if it has no
effect, or refused by name. Does not know the thinking fields, which ``server.dialects`` reads.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from server.api.anthropic.blocks import SystemContent
from server.api.anthropic.context_edits import ContextManagement
from server.api.anthropic.fields import CacheControl, Unused, validation_error
from server.api.anthropic.task_budget import TaskBudget, to_turn
from server.api.anthropic.tools import AnyTool, ToolChoice
from server.api.anthropic.turns import TurnMessage
from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema
from server.api.fields.sampling import SamplingFields, get_requested_sampling
from server.api.fields.structured import JsonSchema
from server.api.fields.thinking import ThinkingBody
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import collect_literals, serialize_schema
from server.dialects.readers import EFFORT
from server.prompt.messages import MAX_MESSAGES
from server.quotas.turns.request import TurnRequest

MAX_STOP_SEQUENCES = 64
MAX_TOOLS = 1_024
_NO_SUMMARIES = "this server does not summarize conversations: summarize on the client's side"


def _check_thread(thread: dict[str, Any] | None) -> dict[str, Any] | None:
    if thread is not None and thread.get("type") == "continue":
        raise validation_error("this server holds no conversations: send all messages")
    return thread


class OutputFormat(StrictModel):
    """``output_config.format``."""

    type: Literal["json_schema"]
    schema_: JsonSchema = Field(alias="schema", description="The JSON schema of the answer.")


class OutputConfig(StrictModel):
    """``output_config``: the format of the answer, the effort, and a budget for the task."""

    # `effort` is read by ``server.dialects``.
    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema["properties"].update(effort=EFFORT.schema)
    )
    format: OutputFormat | None = Field(
        None, description="Format of the answer; the thought is not constrained."
    )
    task_budget: TaskBudget | None = Field(
        None,
        description="The model is told of it, and the thoughts of a task end with it "
        "(docs/turns.md). `max_tokens` limits the reply.",
    )


class Diagnostics(StrictModel):
    """``diagnostics``."""

    previous_message_id: str | None = Field(
        None, description="Accepted; cache misses are not explained."
    )


class CountTokensRequest(ThinkingBody):
    """Body of ``/v1/messages/count_tokens``: the fields that make up a prompt."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "max_completion_tokens": "use 'max_tokens'",
            "n": "this endpoint returns one reply; /v1/chat/completions supports 'n'",
            "response_format": "use 'output_config.format'",
            "stop": "use 'stop_sequences'",
        }
    )

    model: str
    messages: list[TurnMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    system: SystemContent | None = None
    tools: Annotated[list[AnyTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None

    context_management: ContextManagement | None = None

    # Without effect here; `list_unused` says which of them a request relies on.
    cache_control: CacheControl = None
    speed: Annotated[
        str | None, Field(description="Accepted; all replies have the same speed.")
    ] = None
    mcp_servers: Annotated[
        list[dict[str, Any]] | None, Field(description="Accepted; none is connected to.")
    ] = None
    billing_policy: Unused = None
    user_profile_id: Unused = None
    workspace_id: Unused = None
    betas: Annotated[list[str] | None, Field(description="Accepted, without effect.")] = None

    def list_unused(self) -> list[str]:
        """Return the names of the fields that ask for something that is not done here."""
        names = ["mcp_servers", "billing_policy", "user_profile_id", "workspace_id", "betas"]
        unused = [name for name in names if getattr(self, name)]
        return [*unused, *(["speed"] if self.speed not in (None, "standard") else [])]


class MessagesRequest(CountTokensRequest, SamplingFields):
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
    stream: bool | None = None

    # Without effect here, see `list_unused`.
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    container: Unused = None
    inference_geo: Unused = None
    diagnostics: Diagnostics | None = None
    fallbacks: Unused = None
    fallback_credit_token: Unused = None
    thread: Annotated[
        dict[str, Any] | None,
        AfterValidator(_check_thread),
        Field(description="No conversation is held here, so none can be continued."),
    ] = None
    compaction: Annotated[Any, OnlyValues(why=_NO_SUMMARIES), to_enum_schema()] = None

    def find_turn(self) -> TurnRequest | None:
        """See :meth:`ThinkingBody.find_turn`; a budget for the task makes a turn too."""
        options = self.thinking_options
        return to_turn(
            None if options is None else options.turn,
            None if self.output_config is None else self.output_config.task_budget,
            self.messages,
        )

    def list_unused(self) -> list[str]:
        """See :meth:`CountTokensRequest.list_unused`."""
        names = ["container", "inference_geo", "fallbacks", "fallback_credit_token", "thread"]
        unused = [*super().list_unused(), *(name for name in names if getattr(self, name))]
        if self.diagnostics is not None and self.diagnostics.previous_message_id:
            unused.append("diagnostics.previous_message_id")
        if self.service_tier not in (None, "auto", "standard_only"):
            unused.append("service_tier")
        return unused

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
