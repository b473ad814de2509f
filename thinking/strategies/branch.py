"""A branch of a search: one reply as far as it has been written.

A record of counts and log-probabilities; its text is known to whoever wrote it. Knows
nothing of engines, budgets or of how branches are chosen.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Branch:
    """A reply that begins with `token_ids`; counts are tokens, log-probabilities natural.

    Invariant: the answer's tokens are the last `num_answer` ones. Log-probabilities are the
    model's own, before temperature and sampler, summed over tokens that the model chose.
    """

    token_ids: tuple[int, ...] = ()
    num_hidden: int = 0
    num_injected: int = 0
    num_answer: int = 0
    thought_logprob: float = 0.0
    answer_logprob: float = 0.0
    # Whether the next token is hidden: the thought is not over, or its end is being written.
    is_thinking: bool = True
    # Whether the thought has ended, by itself or by force; its closing may yet have to be written.
    thought_is_over: bool = False
    # Why the whole reply ended; None: it may go on.
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def num_free(self) -> int:
        """Thought tokens that the model chose."""
        return self.num_hidden - self.num_injected

    @property
    def answer_confidence(self) -> float:
        """Mean log-probability of the answer's tokens; -inf where there are none."""
        return self.answer_logprob / self.num_answer if self.num_answer else float("-inf")

    @property
    def thought_confidence(self) -> float:
        """Mean log-probability of the thought's own tokens; -inf where there are none."""
        return self.thought_logprob / self.num_free if self.num_free else float("-inf")
