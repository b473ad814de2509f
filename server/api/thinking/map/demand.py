"""Maximum demand of a map, from the lengths of its text and thoughts. Reserves nothing."""

from server.admission.demand import Demand
from server.api.thinking.map.job import MapJob


def to_map_demand(job: MapJob, num_parallel: int) -> Demand:
    """Return the most that a map may use, with at most `num_parallel` positions at a time."""
    num_positions = len(job.text.token_ids)
    return Demand(
        prompt_tokens=len(job.text.prompt_token_ids) + num_positions,
        reasoning_tokens=num_positions * job.thought_tokens,
        answer_tokens=num_positions,
        num_engine_requests=min(num_positions, num_parallel),
    )
