"""What a request asks for, in terms that all endpoints share.

Each endpoint turns its body into a :class:`ReplyAsk` and knows nothing of what follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.constraint.answer_constraint import AnswerConstraint
from server.dialects.budget_request import ThinkingFields
from server.prompt.conversation import Conversation, PlainPrompt
from server.reply.sampling import SamplingAsk
from server.tools.tool import ToolUse


@dataclass(frozen=True, slots=True)
class ReplyAsk:
    """One request. `reply_id` is the wire's id of the reply, unique in the process.

    `thinking.reply_limit` holds for thought and answer together. `store` false: keep no trace;
    true: the client relies on one. `keeps_thought`: the endpoint reads the thought's text though
    the client may not see it, to seal it; it must not show it. `max_answer_tokens` holds for the
    answer alone, `stop_token_ids` end it.
    """

    reply_id: str
    model_name: str
    prompt: Conversation | PlainPrompt
    thinking: ThinkingFields
    sampling: SamplingAsk = field(default_factory=SamplingAsk)
    num_choices: int = 1
    stops: Sequence[str] = ()
    constraint: AnswerConstraint | None = None
    tool_use: ToolUse | None = None
    store: bool | None = None
    keeps_thought: bool = False
    max_answer_tokens: int | None = None
    stop_token_ids: Sequence[int] = ()
