"""The most that a request may use, known before it begins. A record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """Tokens, over all choices, and how many engine requests run at a time.

    `reasoning_tokens` and, where the client has named a limit, `answer_tokens` are never
    exceeded; without a limit the answer's reserve is taken for it.
    """

    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    num_engine_requests: int

    @property
    def total_tokens(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.reasoning_tokens + self.answer_tokens
