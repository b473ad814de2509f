"""The load of the server, and the share that it leaves of budgets not requested in tokens.

    share
      1 ─────────────┐
                      ╲
    floor              ╲
      0       shrink_from  1   load

Pure except for the readings: knows neither the kind of engine nor how a budget is resolved.
"""

from collections.abc import Callable
from dataclasses import dataclass

from server.admission.queue import AdmissionQueue
from server.engine.protocol import EngineLoad


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """Share of a budget by load. `shrink_from` in [0, 1], `floor` in (0, 1]."""

    shrink_from: float
    floor: float

    def compute_share(self, load: float) -> float:
        """Return the share of a budget that is left at `load` (0 to 1); 1: all of it."""
        if load <= self.shrink_from:
            return 1.0
        if load >= 1.0:
            return self.floor
        way = (load - self.shrink_from) / (1.0 - self.shrink_from)
        return 1.0 - way * (1.0 - self.floor)


@dataclass(frozen=True, slots=True)
class LoadGauge:
    """Reads the load of the queue and of the engine.

    `engine_load` is called for each reading and returns None while there is no engine.
    """

    queue: AdmissionQueue
    engine_load: Callable[[], EngineLoad | None]
    curve: LoadCurve

    def read_load(self) -> float:
        """Return the highest of three loads, 0 to 1.

        These are the fill of the queue, the use of the KV cache, and the engine's own queue
        relative to the number of slots.
        """
        engine = self.engine_load()
        if engine is None:
            return self.queue.fill
        waiting = engine.num_waiting / self.queue.num_slots
        return min(1.0, max(self.queue.fill, engine.kv_cache_usage, waiting))

    def read_share(self) -> float:
        """Return the share of a budget that is left under the current load."""
        return self.curve.compute_share(self.read_load())
