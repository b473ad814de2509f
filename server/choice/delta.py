"""Output of a choice for its client: incremental deltas, and a result at the end.

Records; nothing is decoded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

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
    `prompt_index` is the place of its prompt among those of the request.
    """

    finish_reason: FinishReason
    receipt: Receipt
    num_reasoning: int
    num_answer: int
    stop: str | None = None
    num_cached: int = 0
    prompt_index: int = 0


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


@dataclass(slots=True)
class ChoiceDelta:
    """New output of one choice for the client; `result` is set on the last delta.

    `offsets` has the position in the answer, in characters, where the text of each of `logprobs`
    begins. `end_logprobs` are those of the token that ended the answer, which has no text.
    """

    index: int
    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    end_logprobs: TokenLogprobs | None = None
    result: ChoiceResult | None = None
    # What the caller has put into the thought; it is in `reasoning` too.
    added: str = ""

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to send."""
        has_text = bool(self.content or self.reasoning or self.tool_calls)
        return not (has_text or self.logprobs or self.result)

    def add(self, later: "ChoiceDelta") -> None:
        """Append a later delta of the same choice."""
        self.content += later.content
        self.reasoning += later.reasoning
        self.added += later.added
        self.tool_calls += later.tool_calls
        self.logprobs += later.logprobs
        self.offsets += later.offsets
        self.end_logprobs = later.end_logprobs
        self.result = later.result
