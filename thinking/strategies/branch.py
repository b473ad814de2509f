"""A branch of a search: one reply as far as it has been written.

A record of counts and log-probabilities; its text is known to whoever wrote it. Knows
nothing of engines, budgets or of how branches are chosen.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Line:
    """A line of thought so far: the tokens that the model chose, and their log-probability."""

    num_tokens: int = 0
    logprob: float = 0.0

    @property
    def mean(self) -> float:
        """0 where there is none."""
        return self.logprob / self.num_tokens if self.num_tokens else 0.0

    def with_token(self, logprob: float) -> "Line":
        """One token longer."""
        return Line(self.num_tokens + 1, self.logprob + logprob)


@dataclass(frozen=True, slots=True)
class Branch:
    """A reply that begins with `token_ids`; counts are tokens, log-probabilities natural.

    Invariant: the answer's tokens are the last `num_answer` ones. Log-probabilities are the
    model's own, before temperature and sampler, of tokens that the model chose.
    """

    token_ids: tuple[int, ...] = ()
    num_hidden: int = 0
    num_injected: int = 0
    num_answer: int = 0
    answer_logprob: float = 0.0
    # Mean log-probability of the weakest line of thought that has ended; 0 while none has.
    weakest_line: float = 0.0
    # The line that is being written.
    line: Line = Line()
    # Whether the next token is hidden: the thought is not over, or its end is being written.
    is_thinking: bool = True
    # Whether the thought has ended, by itself or by force; its closing may yet have to be written.
    thought_is_over: bool = False
    # Why the whole reply ended; None: it may go on.
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def answer_confidence(self) -> float:
        """Mean log-probability of the answer's tokens; -inf where there are none."""
        return self.answer_logprob / self.num_answer if self.num_answer else float("-inf")

    @property
    def thought_confidence(self) -> float:
        """Mean log-probability of the weakest line; 0 where the model has chosen nothing yet.

        One slip makes a chain of steps worthless, and a mean over all of it hardly shows one:
        so a thought counts as its weakest part, as in "Deep Think with Confidence" (arXiv
        2508.15260), whose windows are lines here.
        """
        return min(self.weakest_line, self.line.mean)
