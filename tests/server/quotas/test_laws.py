"""Laws of quotas on the storage in memory, over any order of events."""

import asyncio
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.keys.labels import MAX_KEY_LABELS, OTHER_KEYS, KeyLabels
from server.metrics import Metrics
from server.quotas.counters import Change, ChangeResult, MemoryCounters
from server.quotas.metrics import QuotaMetrics
from server.quotas.quotas import Quotas
from server.quotas.usage import format_duration
from server.settings.quota import Quota
from tests.examples import examples
from tests.server.quotas.machine import QuotaMachine


class MemoryMachine(QuotaMachine):
    """A single server: memory is not shared."""

    def make_quotas(self) -> Iterable[Quotas]:
        return [Quotas(MemoryCounters(), QuotaMetrics(CollectorRegistry()))]


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=examples(60), stateful_step_count=30)


class SlowCounters(MemoryCounters):
    """A storage on a slow network: responds once the event `answers` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun, self.answers = asyncio.Event(), asyncio.Event()

    async def change(self, changes: Iterable[Change]) -> ChangeResult:
        counted = await super().change(list(changes))
        self.has_begun.set()
        await self.answers.wait()
        return counted


async def test_a_request_cancelled_while_reserving_returns_everything() -> None:
    counters = SlowCounters()
    quotas = Quotas(counters, QuotaMetrics(CollectorRegistry()))
    key = AccessKey("k", quota=Quota(tokens_per_day=100))
    account = RequestAccount("id", Metrics(), key=key)
    reserving = asyncio.create_task(quotas.reserve(account, Demand(10, 0, 10, 1)))
    await counters.has_begun.wait()
    reserving.cancel()
    await asyncio.gather(reserving, return_exceptions=True)
    counters.answers.set()
    await account.at_end.aclose()
    assert [usage.used for usage in await quotas.get_usage(key)] == [0]


def test_labels_of_keys_are_bounded() -> None:
    labels = KeyLabels()
    seen = [labels.label(f"key-{number}") for number in range(500)]
    assert len(set(seen)) == MAX_KEY_LABELS + 1
    assert seen[-1] == OTHER_KEYS
    assert labels.label("key-0") == "key-0"


@given(st.floats(0, 200_000))
def test_a_formatted_duration_is_never_shorter(seconds: float) -> None:
    """Check that the parsed text equals the duration, rounded up."""
    text = format_duration(seconds)
    if text.endswith("ms"):
        read = int(text.removesuffix("ms")) / 1000
    else:
        read = 0.0
        for letter, unit in (("h", 3600), ("m", 60), ("s", 1)):
            if letter in text:
                number, _, text = text.partition(letter)
                read += int(number) * unit
    assert seconds <= read + 1e-9 < seconds + 1.001


def test_durations_are_formatted_as_openai_does() -> None:
    assert [format_duration(s) for s in (0.02, 7, 90, 360, 3600, 86_399)] == [
        "20ms",
        "7s",
        "1m30s",
        "6m0s",
        "1h0m0s",
        "23h59m59s",
    ]
