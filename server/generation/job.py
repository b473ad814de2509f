"""What a request asks to be generated, in the engine's terms.

A record: nothing is run here, and no wire is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.constraint.answer_constraint import AnswerConstraint
from server.engine.protocol import SamplingSettings
from server.generation.search.reward_model import RewardModel
from server.prompt.prepared_prompt import PreparedPrompt
from server.tools.reading import ReaderMaker
from thinking.segments import AnswerEnd
from thinking.strategies.protocol import Strategy

SEED_MASK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SearchJob:
    """How to search, and what the judge of branches sees: the conversation's messages.

    `reward_model` is None where the strategy needs none.
    """

    strategy: Strategy
    reward_model: RewardModel | None
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """What to generate. `sampling.seed` is the first choice's; the others count on.

    `shows_thought`: the deltas carry the thoughts' text; who may see it is not decided here.
    `search` None: each choice has a single thought. `answer_end`: where answers end besides.
    `new_tool_reader` None: it calls no tool. `max_thinking_seconds` None: thoughts take their time.
    """

    request_id: str
    prompt: PreparedPrompt
    sampling: SamplingSettings
    num_choices: int = 1
    stops: Sequence[str] = ()
    shows_thought: bool = False
    constraint: AnswerConstraint | None = None
    answer_end: AnswerEnd | None = None
    search: SearchJob | None = None
    new_tool_reader: ReaderMaker | None = None
    max_thinking_seconds: float | None = None
