"""A state machine of requests that reserve, run and settle, on any storage, while time passes.

The expected counters are computed from scratch at each step, from the list of all admitted
requests: not incrementally, as the code does it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.kinds import QUOTA_KINDS, QuotaKind
from server.quotas.quotas import Quotas
from server.quotas.refusal import QuotaExceededError
from server.settings.quota import Quota

METRICS = Metrics()
QUOTA = Quota(
    requests_per_minute=6,
    requests_per_day=40,
    tokens_per_minute=300,
    tokens_per_day=2000,
    reasoning_tokens_per_minute=100,
    reasoning_tokens_per_day=400,
)
MAX_REASONING, MAX_ANSWER = 110, 40
demands = st.builds(
    Demand,
    prompt_tokens=st.integers(1, 20),
    reasoning_tokens=st.integers(0, MAX_REASONING),
    answer_tokens=st.integers(1, MAX_ANSWER),
    num_engine_requests=st.just(1),
)


@dataclass(slots=True)
class AdmittedRequest:
    """A request that was admitted at time `at`; `settled_at` None: it is still running."""

    account: RequestAccount
    demand: Demand
    at: float
    settled_at: float | None = None

    def get_amounts(self, unit: str) -> tuple[int, int]:
        """Return the amounts reserved and used."""
        used = self.account.used
        match unit:
            case "requests":
                return 1, 1
            case "tokens":
                return self.demand.total_tokens, used.total
            case _:
                return self.demand.reasoning_tokens, used.reasoning

    def compute_charge(self, kind: QuotaKind, number: int) -> int:
        """Return what it is charged in window `number`."""
        reserved, used = self.get_amounts(kind.unit)
        is_in = self.at // kind.seconds == number
        if self.settled_at is None:
            return reserved if is_in else 0
        ended_in = self.settled_at // kind.seconds == number
        if is_in and ended_in:
            return used
        over = max(0, used - reserved) if ended_in else 0
        return (reserved if is_in else 0) + over


class QuotaMachine(RuleBasedStateMachine):
    """The state machine; `make_quotas` returns the servers that share one storage."""

    key_ids = iter(range(10**9))

    def __init__(self) -> None:
        super().__init__()
        self.key = AccessKey(f"key-{next(self.key_ids)}", quota=QUOTA)
        self.runner = asyncio.Runner()
        self.now = 1_000_000_000.0
        self.admitted: list[AdmittedRequest] = []
        self.servers = list(self.runner.run(self._make_servers()))

    def make_quotas(self) -> Iterable[Quotas]:
        """Return the quotas of each server; overridden for each storage."""
        raise NotImplementedError

    async def _make_servers(self) -> Iterable[Quotas]:
        servers = list(self.make_quotas())
        for quotas in servers:
            quotas.clock = lambda: self.now
        return servers

    def teardown(self) -> None:
        for quotas in self.servers:
            self.runner.run(quotas.close())
        self.runner.close()

    @rule(seconds=st.sampled_from([1.0, 17.0, 59.0, 60.0, 200.0, 86_000.0]))
    def advance_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(crowd=st.lists(demands, min_size=1, max_size=8), server=st.integers(0, 7))
    def send_requests(self, crowd: list[Demand], server: int) -> None:
        self.runner.run(self._send_crowd(crowd, server))

    # No draw depends on who was admitted: over a network, that is decided by its timing.
    @rule(
        place=st.integers(0, 99),
        has_run=st.booleans(),
        reasoning=st.integers(0, MAX_REASONING),
        answer=st.integers(0, 2 * MAX_ANSWER),
    )
    def end_request(self, place: int, has_run: bool, reasoning: int, answer: int) -> None:
        running = [request for request in self.admitted if request.settled_at is None]
        if not running:
            return
        request = running[place % len(running)]
        used, demand = request.account.used, request.demand
        if has_run:  # it has reached the engine
            used.prompt = demand.prompt_tokens
            used.reasoning = min(reasoning, demand.reasoning_tokens)
            used.answer = min(answer, 2 * demand.answer_tokens)
        request.settled_at = self.now
        self.runner.run(request.account.at_end.aclose())

    @invariant()
    def counters_match_the_admitted_requests(self) -> None:
        for quotas in self.servers:
            usages = self.runner.run(self._get_usage(quotas))
            for usage in usages:
                window = usage.window
                expected = sum(
                    request.compute_charge(window.kind, window.number) for request in self.admitted
                )
                assert usage.used == expected, window

    @invariant()
    def thoughts_never_exceed_a_quota(self) -> None:
        for kind in QUOTA_KINDS:
            if kind.unit == "tokens":
                continue  # an answer without a limit may
            for number in {int(request.at // kind.seconds) for request in self.admitted}:
                charged = sum(request.compute_charge(kind, number) for request in self.admitted)
                assert charged <= getattr(QUOTA, kind.name)

    async def _get_usage(self, quotas: Quotas) -> Any:
        return await quotas.get_usage(self.key)

    async def _send_crowd(self, crowd: list[Demand], server: int) -> None:
        async def send(index: int, demand: Demand) -> None:
            account = RequestAccount("id", METRICS, key=self.key)
            quotas = self.servers[(server + index) % len(self.servers)]
            try:
                await quotas.reserve(account, demand)
            except QuotaExceededError as error:
                refused.append((demand, error))
                await account.at_end.aclose()
            else:
                self.admitted.append(AdmittedRequest(account, demand, self.now))

        refused: list[tuple[Demand, QuotaExceededError]] = []
        await asyncio.gather(*(send(*numbered) for numbered in enumerate(crowd)))
        for _, error in refused:
            self._assert_had_no_room(error)

    def _assert_had_no_room(self, error: QuotaExceededError) -> None:
        """Check that the refused request does not fit, counting all that were admitted with it."""
        window, asked = error.refused.usage.window, error.refused.requested
        charged = sum(
            request.compute_charge(window.kind, window.number) for request in self.admitted
        )
        assert charged + asked > window.limit
