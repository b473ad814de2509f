"""Output of a choice for its client: incremental deltas, and a result at the end.

Records; nothing is decoded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from server.choice.progress import ThinkingProgress
from server.engine.protocol import TokenLogprobs
from server.tools.call import ToolCallDelta
from thinking.receipt import Receipt

FinishReason = Literal["stop", "length", "tool_calls"]
# Between the thoughts of one reply, where they are shown.
THOUGHT_BREAK = "\n\n"


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """The end of a choice; counts are tokens. `stop` is the stop string that ended it.

    `num_cached` are the prompt tokens that no engine request of the choice had to compute.
    `prompt_index` is the place of its prompt among those of the request. `cost` is what it costs,
    the prompt included where it is charged to this choice; None: there are no prices.
    """

    finish_reason: FinishReason
    receipt: Receipt
    num_reasoning: int
    num_answer: int
    stop: str | None = None
    num_cached: int = 0
    prompt_index: int = 0
    cost: Decimal | None = None


def count_cached_tokens(results: Sequence[ChoiceResult]) -> int:
    """Return how many prompt tokens of a request were cached before it.

    Each prompt counts once, however many choices it has. A choice also finds in the cache what
    another one has just computed, so the choice that found the fewest tells what was there before.
    """
    fewest: dict[int, int] = {}
    for result in results:
        index = result.prompt_index
        fewest[index] = min(result.num_cached, fewest.get(index, result.num_cached))
    return sum(fewest.values())


def to_cost_field(results: Sequence[ChoiceResult]) -> dict[str, float]:
    """Return the field of a usage that has the cost of all choices; empty without prices.

    JSON has no decimals. Up to 15 significant digits, the number is written exactly.
    """
    costs = [result.cost for result in results if result.cost is not None]
    return {"cost": float(sum(costs))} if costs else {}


@dataclass(frozen=True, slots=True)
class SealedThought:
    """A thought that has ended, as text that only this server can read.

    `index` is its place among the thoughts of its choice.
    """

    index: int
    data: str


@dataclass(slots=True)
class ChoiceDelta:
    """New output of one choice for the client; `result` is set on the last delta.

    `offsets` has the position in the answer, in characters, where the text of each of `logprobs`
    begins. `end_logprobs` are those of the token that ended the answer, which has no text.
    `progress` is how far the thoughts are, if the client asks and a value is due; it precedes the
    delta's other output. `sealed_thoughts` precede its content.
    """

    index: int
    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    sealed_thoughts: list[SealedThought] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    end_logprobs: TokenLogprobs | None = None
    progress: ThinkingProgress | None = None
    result: ChoiceResult | None = None
    # What the caller has put into the thought; it is in `reasoning` too.
    added: str = ""

    @property
    def has_output(self) -> bool:
        """True if there is more to send than progress."""
        has_text = self.content or self.reasoning or self.tool_calls or self.sealed_thoughts
        return bool(has_text or self.logprobs or self.result)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to send."""
        has_text = bool(self.content or self.reasoning or self.tool_calls or self.sealed_thoughts)
        return not (has_text or self.logprobs or self.progress or self.result)

    def add(self, later: "ChoiceDelta") -> None:
        """Append a later delta of the same choice."""
        self.content += later.content
        self.reasoning += later.reasoning
        self.added += later.added
        self.tool_calls += later.tool_calls
        self.sealed_thoughts += later.sealed_thoughts
        self.logprobs += later.logprobs
        self.offsets += later.offsets
        self.end_logprobs = later.end_logprobs
        self.progress = later.progress or self.progress
        self.result = later.result
