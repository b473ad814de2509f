"""A branch of a search: a reply as far as it has been written.

A record of counts and log-probabilities; the text is kept by the branch writer. Knows nothing
of engines, budgets or of how branches are chosen.
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
        """Mean log-probability of the tokens; 0 if there are none."""
        return self.logprob / self.num_tokens if self.num_tokens else 0.0

    def with_token(self, logprob: float) -> "Line":
        """Return the line with one more token."""
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
    # Mean log-probability of the weakest finished line of thought; 0 if there is none.
    weakest_line: float = 0.0
    # Number of tokens in the longest finished line of thought.
    longest_line: int = 0
    # The line that is being written.
    line: Line = Line()
    # True if the next token is hidden: the thought is not over, or its end is being written.
    is_thinking: bool = True
    # True once the thought has ended, by itself or by force; its close may still be missing.
    thought_is_over: bool = False
    # Reason why the whole reply ended; None: it may continue.
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def answer_confidence(self) -> float:
        """Mean log-probability of the answer's tokens; -inf if there are none."""
        return self.answer_logprob / self.num_answer if self.num_answer else float("-inf")

    @property
    def thought_confidence(self) -> float:
        """Mean log-probability of the weakest line; 0 if the model has chosen no token yet.

        A single error makes a chain of steps worthless, and a mean over the whole thought
        hardly shows it. So a thought is rated by its weakest part, as in "Deep Think with
        Confidence" (arXiv 2508.15260), with lines in place of that paper's windows.
        """
        return min(self.weakest_line, self.line.mean)

    @property
    def confidence(self) -> float:
        """Mean log-probability of the reply's weakest part: a line of thought, or the answer."""
        return min(self.thought_confidence, self.answer_confidence)
