"""Metrics of choices: their budgets, what they used of them, and how long they took.

Each choice is counted once, from its outcome, when it has ended or was cancelled. Does not know
requests.
"""

from prometheus_client import CollectorRegistry

from server.choice.outcome import ChoiceOutcome
from server.metrics.factories import (
    COUNT_BUCKETS,
    SHARE_BUCKETS,
    TOKEN_BUCKETS,
    closed_counter,
    counter,
    histogram,
)
from thinking.budget import LimitedBy
from thinking.phase import StopCause
from thinking.receipt import Receipt
from thinking.strategies.protocol import STRATEGY_NAMES

# Causes that end a thought before its budget does.
EARLY_ENDS = tuple(
    cause.value for cause in (StopCause.NATURAL, StopCause.LOOP, StopCause.CONFIDENT, StopCause.EOS)
)


class ChoiceMetrics:
    """Tokens, budgets, causes and times of all choices; sums equal those of their receipts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        own = registry
        self.prompt_tokens = counter(own, "prompt_tokens", "Prompt tokens read.")
        self.cached_prompt_tokens = counter(
            own, "cached_prompt_tokens", "Prompt tokens that were in the prefix cache."
        )
        self.reasoning_tokens = counter(own, "reasoning_tokens", "Hidden tokens generated.")
        self.answer_tokens = counter(own, "answer_tokens", "Answer tokens generated.")
        self.injected_tokens = counter(own, "injected_tokens", "Tokens forced into thoughts.")
        causes = [cause.value for cause in StopCause]
        self.stops = closed_counter(
            own, "stops", "Choices by what ended their thought.", "cause", causes
        )
        self.branches = closed_counter(
            own, "branches", "Branches of searches.", "strategy", STRATEGY_NAMES
        )
        self.limited = closed_counter(
            own,
            "budget_limited",
            "Choices whose budget is smaller than asked, by why.",
            "by",
            [limit.value for limit in LimitedBy],
        )
        self.saved_tokens = closed_counter(
            own, "saved_tokens", "Budget left by early ends of thoughts.", "cause", EARLY_ENDS
        )
        self.requested = histogram(
            own, "budget_requested_tokens", "Budget that a choice's request named.", TOKEN_BUCKETS
        )
        self.budget = histogram(own, "budget_tokens", "Budget of a choice.", TOKEN_BUCKETS)
        self.used = histogram(own, "used_tokens", "Hidden tokens of a choice.", TOKEN_BUCKETS)
        self.utilization = histogram(
            own, "budget_utilization", "Used share of a budget above 0.", SHARE_BUCKETS
        )
        self.migrations = counter(own, "migrations", "Engines that choices have lost and outlived.")
        self.segments = histogram(own, "segments", "Thoughts of a choice.", COUNT_BUCKETS)
        self.thinking_seconds = histogram(own, "seconds", "Time in which hidden tokens came.")
        self.first_token = histogram(own, "time_to_first_token_seconds", "Hidden or not.")
        self.first_answer_token = histogram(
            own, "time_to_first_answer_token_seconds", "What a client waits for."
        )

    def observe(self, outcome: ChoiceOutcome) -> None:
        """Count a choice that has ended or was cancelled."""
        receipt = outcome.receipt
        self.count_tokens(
            reasoning=receipt.used, answer=outcome.num_answer, injected=receipt.injected
        )
        self._observe_budget(receipt)
        self._observe_thought(receipt)
        self._observe_times(outcome)

    def count_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Count generated tokens, of a choice or, as a map's, of none."""
        self.reasoning_tokens.inc(reasoning)
        self.answer_tokens.inc(answer)
        self.injected_tokens.inc(injected)

    def _observe_budget(self, receipt: Receipt) -> None:
        if receipt.requested is not None:
            self.requested.observe(receipt.requested)
        self.budget.observe(receipt.budget)
        self.used.observe(receipt.used)
        if receipt.budget:
            self.utilization.observe(receipt.used / receipt.budget)
        self.migrations.inc(receipt.migrations)
        if receipt.limited_by is not None:
            self.limited.labels(receipt.limited_by).inc()

    def _observe_thought(self, receipt: Receipt) -> None:
        self.stops.labels(receipt.stop).inc()
        self.segments.observe(receipt.segments)
        if receipt.stop in EARLY_ENDS:
            self.saved_tokens.labels(receipt.stop).inc(receipt.budget - receipt.used)
        if receipt.used:
            self.thinking_seconds.observe(receipt.seconds)
        if receipt.search is not None:
            self.branches.labels(receipt.search.strategy).inc(receipt.search.num_branches)

    def _observe_times(self, outcome: ChoiceOutcome) -> None:
        if outcome.first_token is not None:
            self.first_token.observe(outcome.first_token - outcome.started)
        if outcome.first_answer_token is not None:
            self.first_answer_token.observe(outcome.first_answer_token - outcome.started)
