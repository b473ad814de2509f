"""The most resources that a request may use, known before it begins. A record."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """Tokens over all choices, and the number of engine requests that run at a time.

    `reasoning_tokens` is never exceeded, nor is `answer_tokens` if the client set a limit;
    without one, `answer_tokens` is the answer reserve.
    """

    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    num_engine_requests: int
    num_choices: int = 1

    @property
    def total_tokens(self) -> int:
        """The sum of all tokens."""
        return self.prompt_tokens + self.reasoning_tokens + self.answer_tokens


def sum_demands(demands: Sequence[Demand]) -> Demand:
    """Return the sum of `demands`."""
    return Demand(
        prompt_tokens=sum(demand.prompt_tokens for demand in demands),
        reasoning_tokens=sum(demand.reasoning_tokens for demand in demands),
        answer_tokens=sum(demand.answer_tokens for demand in demands),
        num_engine_requests=sum(demand.num_engine_requests for demand in demands),
        num_choices=sum(demand.num_choices for demand in demands),
    )
