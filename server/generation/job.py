"""The work of a request in the engine's terms. Records; knows no wire format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.choice.thought_sealing import ThoughtSealing
from server.constraint.answer_constraint import AnswerConstraint
from server.engine.protocol import SamplingSettings
from server.generation.search.reward_model import RewardModel
from server.prompt.prepared_prompt import PreparedPrompt
from server.tools.reading import ReaderFactory
from thinking.segments import AnswerEnd
from thinking.strategies.protocol import Strategy


@dataclass(frozen=True, slots=True)
class SearchJob:
    """The search strategy, and the conversation's messages, which the reward model needs.

    `reward_model` is None where the strategy needs none.
    """

    strategy: Strategy
    reward_model: RewardModel | None
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """The choices to generate. `sampling.seed` is the first choice's; each further choice adds one.

    With `shows_thought`, deltas carry the text of thoughts; who may see it is not decided here.
    With `reports_progress`, they say now and then how far thoughts are.
    `answer_end` holds in addition to the model's own ends. Without `search`, each choice has a
    single thought; without `create_tool_reader`, it calls no tool; without
    `max_thinking_seconds`, thoughts take as long as they need; without `sealing`, a thought that is
    cut is lost.
    """

    request_id: str
    prompt: PreparedPrompt
    sampling: SamplingSettings
    num_choices: int = 1
    stops: Sequence[str] = ()
    shows_thought: bool = False
    reports_progress: bool = False
    constraint: AnswerConstraint | None = None
    answer_end: AnswerEnd = field(default_factory=AnswerEnd)
    search: SearchJob | None = None
    create_tool_reader: ReaderFactory | None = None
    max_thinking_seconds: float | None = None
    sealing: ThoughtSealing | None = None
