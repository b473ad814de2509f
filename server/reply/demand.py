"""The most that replies may use, from what was planned for them."""

from collections.abc import Sequence

from server.admission.demand import Demand
from server.reply.reply import Reply


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
