"""Maximum demand of a reply, from its planned job. Reserves nothing."""

from server.admission.demand import Demand
from server.generation.job import GenerationJob


def to_demand(job: GenerationJob, *, has_limit: bool) -> Demand:
    """Return the most that `job` may use; `has_limit`: the client limited the reply's length."""
    budget = job.prompt.budget
    limit = budget.max_tokens if has_limit else budget.answer_reserve + budget.budget
    branches = job.search.strategy.num_branches if job.search is not None else 1
    return Demand(
        prompt_tokens=len(job.prompt.token_ids),
        reasoning_tokens=budget.budget * job.num_choices,
        answer_tokens=(limit - budget.budget) * job.num_choices,
        num_engine_requests=branches * job.num_choices,
        num_choices=job.num_choices,
    )
