"""A request in terms that all endpoints share.

Each endpoint turns its body into a :class:`ReplyRequest` and knows nothing of what follows.
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
    """One request. `reply_id` is the wire's id of the reply, unique in the process.

    `max_tokens` limits thought and answer together, `max_answer_tokens` the answer alone;
    `stop_token_ids` end the answer. `sampling`: the sampling fields that were sent, by the names of
    :class:`server.engine.protocol.SamplingSettings`; `logprobs_field`: what the body calls its
    `num_logprobs`, for errors. `store` false: keep no trace; true: the client relies on one.
    `keeps_thought`: the endpoint reads the thought's text though the client may not see it, to seal
    it; it must not show it.
    """

    reply_id: str
    model_name: str
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
