"""The most that a request may use, known before it begins. A record, and how it is found."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.map.job import MapJob
from server.reply.reply import Reply


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


def demand_of(replies: Sequence[Reply]) -> Demand:
    """What all `replies` of one request may use together."""
    prompt = reasoning = answer = num_requests = 0
    for reply in replies:
        job, budget = reply.job, reply.job.prompt.budget
        prompt += reply.num_prompt_tokens
        reasoning += budget.budget * job.num_choices
        limit = budget.max_tokens if reply.has_limit else budget.answer_reserve + budget.budget
        answer += (limit - budget.budget) * job.num_choices
        branches = job.search.strategy.num_branches if job.search is not None else 1
        num_requests += branches * job.num_choices
    return Demand(prompt, reasoning, answer, num_requests)


def demand_of_map(job: MapJob, num_parallel: int) -> Demand:
    """What a map may use, at most `num_parallel` positions at a time."""
    num_positions = len(job.text.token_ids)
    return Demand(
        prompt_tokens=len(job.text.prompt_token_ids) + num_positions,
        reasoning_tokens=num_positions * job.thought_tokens,
        answer_tokens=num_positions,
        num_engine_requests=min(num_positions, num_parallel),
    )
