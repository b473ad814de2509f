"""Autoscaling policy: as many replicas as the requests, or our own load, call for.

Ray's controller runs it, in a process without the server's packages: imports only the standard
library and Ray. Bounds, delays and factors of the autoscaling configuration are applied by Ray.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

LOAD_METRIC = "thinking_load"  # recorded by each replica, 0 to 1


class LoadPolicy:
    """Holds ongoing requests per replica, and the load of a replica, at their targets.

    Ongoing requests alone cannot tell sixty short thoughts from sixty that fill the KV cache; the
    load alone says nothing while requests wait in Ray's proxy. The larger demand wins.

    Args:
        target_load: Wanted mean of ``thinking_load``, above 0 and below 1.

    Raises:
        ValueError: `target_load` is out of range.
    """

    def __init__(self, target_load: float = 0.7) -> None:
        if not 0 < target_load < 1:
            raise ValueError(f"target_load: {target_load!r} is not above 0 and below 1")
        self.target_load = target_load

    def __call__(self, context: "AutoscalingContext") -> tuple[float, dict[str, Any]]:
        """Return the number of replicas that is wanted, and the policy's state: none."""
        num_running: int = context.current_num_replicas
        if not num_running:
            return context.target_num_replicas, {}
        by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
        loads = (context.aggregated_metrics or {}).get(LOAD_METRIC, {})
        # Replicas that have not reported yet are taken for as busy as the others.
        mean = sum(loads.values()) / len(loads) if loads else 0.0
        return max(by_requests, num_running * mean / self.target_load), {}
