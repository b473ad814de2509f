"""Prometheus metrics of one app.

Each app has a registry of its own, so that several can live in one process; the output
joins it with the process-wide one, where the engine registers. Labels come from closed
sets only: no text of a request ever becomes one.
"""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from server.choice import ChoiceDecoder
from thinking.receipt import Receipt

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

TOKEN_BUCKETS = (0, 8, 32, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counters and histograms; tokens and seconds are counted per choice."""

    def __init__(
        self, registry: CollectorRegistry | None = None, is_up: Callable[[], bool] = lambda: False
    ) -> None:
        self.registry = own = registry or CollectorRegistry()
        self.prompt_tokens = _counter(own, "prompt_tokens", "Prompt tokens read.")
        self.reasoning_tokens = _counter(own, "reasoning_tokens", "Hidden tokens generated.")
        self.answer_tokens = _counter(own, "answer_tokens", "Answer tokens generated.")
        self.injected_tokens = _counter(own, "injected_tokens", "Tokens forced into thoughts.")
        self.stops = _counter(own, "stops", "Choices by what ended their thought.", "cause")
        self.branches = _counter(
            own, "branches", "Engine requests of searches over thoughts.", "strategy"
        )
        self.budget = _histogram(own, "budget_tokens", "Budget of a choice.", TOKEN_BUCKETS)
        self.used = _histogram(own, "used_tokens", "Hidden tokens of a choice.", TOKEN_BUCKETS)
        self.thinking_seconds = _histogram(own, "seconds", "Time in which hidden tokens came.")
        self.first_token = _histogram(own, "time_to_first_token_seconds", "Hidden or not.")
        self.first_answer_token = _histogram(
            own, "time_to_first_answer_token_seconds", "What a client waits for."
        )
        self.requests = _counter(
            own, "http_requests", "Requests by path and status.", "endpoint", "status"
        )
        self.traces_written = _counter(own, "traces_written", "Traces kept in the store.")
        self.traces_dropped = _counter(own, "traces_dropped", "Traces not kept.", "reason")
        self.in_flight = Gauge(
            "thinking_requests_in_flight", "Requests being answered.", registry=own
        )
        self.engine_up = Gauge("thinking_engine_up", "1: the engine can answer.", registry=own)
        self.engine_up.set_function(lambda: float(is_up()))

    def observe_start(self, num_prompt_tokens: int) -> None:
        """A prompt goes to the engine."""
        self.prompt_tokens.inc(num_prompt_tokens)

    def observe_choice(self, decoder: ChoiceDecoder) -> Receipt:
        """A choice has ended, or its client has left; its receipt."""
        result = decoder.result
        receipt = result.receipt if result else decoder.cancelled_receipt()
        self.reasoning_tokens.inc(receipt.used)
        self.answer_tokens.inc(decoder.tracker.num_answer)
        self.injected_tokens.inc(receipt.injected)
        self.stops.labels(receipt.stop).inc()
        if receipt.search is not None:
            self.branches.labels(receipt.search.strategy).inc(receipt.search.num_branches)
        self.budget.observe(receipt.budget)
        self.used.observe(receipt.used)
        times = decoder.times
        if receipt.used:
            self.thinking_seconds.observe(receipt.seconds)
        if times.first_token is not None:
            self.first_token.observe(times.first_token - times.started)
        if times.first_answer_token is not None:
            self.first_answer_token.observe(times.first_answer_token - times.started)
        return receipt

    def observe_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Tokens that were generated for something else than a choice."""
        self.reasoning_tokens.inc(reasoning)
        self.answer_tokens.inc(answer)
        self.injected_tokens.inc(injected)

    def render(self) -> bytes:
        """Text format: ours, then the process's; each series once, also where ours are there."""
        registries = dict.fromkeys((self.registry, REGISTRY))
        return b"".join(map(generate_latest, registries))


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(f"thinking_{name}", text, labels, registry=registry)


def _histogram(
    registry: CollectorRegistry,
    name: str,
    text: str,
    buckets: tuple[float, ...] = SECONDS_BUCKETS,
) -> Histogram:
    return Histogram(f"thinking_{name}", text, buckets=buckets, registry=registry)
