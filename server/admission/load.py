"""How loaded the server is, and what that leaves of budgets that nobody has asked for in tokens.

    share
      1 ─────────────┐
                      ╲
    floor              ╲
      0       shrink_from  1   load

Pure but for the readings: knows neither the engine's kind nor how a budget is resolved.
"""

from collections.abc import Callable
from dataclasses import dataclass

from server.admission.queue import AdmissionQueue
from server.engine.protocol import EngineLoad


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """`shrink_from` in [0, 1], `floor` in (0, 1]."""

    shrink_from: float
    floor: float

    def share(self, load: float) -> float:
        """What is left of a budget at `load`; 1: all of it."""
        if load <= self.shrink_from:
            return 1.0
        if load >= 1.0:
            return self.floor
        way = (load - self.shrink_from) / (1.0 - self.shrink_from)
        return 1.0 - way * (1.0 - self.floor)


@dataclass(frozen=True, slots=True)
class LoadGauge:
    """Reads the load of the line and of the engine, which is asked each time; None: there is
    none yet."""

    queue: AdmissionQueue
    engine_load: Callable[[], EngineLoad | None]
    curve: LoadCurve

    def load(self) -> float:
        """The fullest of: the line, the KV cache, the engine's own queue (in places)."""
        engine = self.engine_load()
        if engine is None:
            return self.queue.fill
        waiting = engine.num_waiting / self.queue.num_places
        return min(1.0, max(self.queue.fill, engine.kv_cache_usage, waiting))

    def share(self) -> float:
        """What is left of a budget now."""
        return self.curve.share(self.load())
