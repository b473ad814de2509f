"""Request in the form that all endpoints share.

Each endpoint converts its body to a :class:`ReplyRequest`. Knows neither the bodies nor the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.constraint.answer_constraint import AnswerConstraint
from server.dialects.resolution import ThinkingParams
from server.prompt.conversation import Conversation, PlainPrompt
from server.tools.tool import ToolUse


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """Request for a reply. `reply_id` is the reply's id on the wire, unique in the process.

    `model_name` None is the model that the server serves.
    `max_tokens` limits thought and answer together, `max_answer_tokens` the answer alone.
    `stop_token_ids` end the answer. `sampling` has the sampling fields that were sent, by the names
    of :class:`server.engine.protocol.SamplingSettings`; `logprobs_field` is the body's name for
    `num_logprobs`, for errors. `store` is false to keep no trace, and true if the client relies on
    a trace. `keeps_thought`: the endpoint needs the thought's text in order to seal it, even if the
    client may not see it; it must not show it. `reports_progress`: the client wants to know how far
    thoughts are. `lowered_by` says how far the request's priority is below its key's. `turn_left`
    is what the request's turn has left for each choice; None: as much as the request asks for.
    """

    reply_id: str
    model_name: str | None
    prompt: Conversation | PlainPrompt
    thinking: ThinkingParams
    max_tokens: int | None = None
    max_answer_tokens: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    logprobs_field: str = "top_logprobs"
    num_choices: int = 1
    stops: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    constraint: AnswerConstraint | None = None
    tool_use: ToolUse | None = None
    store: bool | None = None
    keeps_thought: bool = False
    reports_progress: bool = False
    lowered_by: int = 0
    turn_left: int | None = None
    # The id on the wire, where several replies have the same one; None: `reply_id`.
    wire_id: str | None = None
