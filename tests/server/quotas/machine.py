"""A state machine of requests that reserve, run and settle, on any storage, while time goes by.

What the counters should hold is said from scratch at each step, out of the list of all
requests that were let in: not by doing sums as the code does them.
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
demands = st.builds(
    Demand,
    prompt_tokens=st.integers(1, 20),
    reasoning_tokens=st.integers(0, 110),
    answer_tokens=st.integers(1, 40),
    num_engine_requests=st.just(1),
)


@dataclass(slots=True)
class Let:
    """A request that was let in, `at` a moment; `settled_at` None: it runs."""

    account: RequestAccount
    demand: Demand
    at: float
    settled_at: float | None = None

    def amounts(self, unit: str) -> tuple[int, int]:
        """Reserved, used."""
        used = self.account.used
        match unit:
            case "requests":
                return 1, 1
            case "tokens":
                return self.demand.total_tokens, used.total
            case _:
                return self.demand.reasoning_tokens, used.reasoning

    def charge(self, kind: QuotaKind, number: int) -> int:
        """What it is charged in a window."""
        reserved, used = self.amounts(kind.unit)
        is_in = self.at // kind.seconds == number
        if self.settled_at is None:
            return reserved if is_in else 0
        ended_in = self.settled_at // kind.seconds == number
        if is_in and ended_in:
            return used
        over = max(0, used - reserved) if ended_in else 0
        return (reserved if is_in else 0) + over


class QuotaMachine(RuleBasedStateMachine):
    """`make_quotas` gives the servers that share one storage."""

    key_ids = iter(range(10**9))

    def __init__(self) -> None:
        super().__init__()
        self.key = AccessKey(f"key-{next(self.key_ids)}", quota=QUOTA)
        self.runner = asyncio.Runner()
        self.now = 1_000_000_000.0
        self.let: list[Let] = []
        self.servers = list(self.runner.run(self._servers()))

    def make_quotas(self) -> Iterable[Quotas]:
        """Overridden for each storage."""
        raise NotImplementedError

    async def _servers(self) -> Iterable[Quotas]:
        servers = list(self.make_quotas())
        for quotas in servers:
            quotas.clock = lambda: self.now
        return servers

    def teardown(self) -> None:
        for quotas in self.servers:
            self.runner.run(quotas.close())
        self.runner.close()

    @rule(seconds=st.sampled_from([1.0, 17.0, 59.0, 60.0, 200.0, 86_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(crowd=st.lists(demands, min_size=1, max_size=8), server=st.integers(0, 7))
    def requests_come(self, crowd: list[Demand], server: int) -> None:
        self.runner.run(self._come(crowd, server))

    @rule(data=st.data())
    def request_ends(self, data: st.DataObject) -> None:
        running = [let for let in self.let if let.settled_at is None]
        if not running:
            return
        let = data.draw(st.sampled_from(running))
        used = let.account.used
        if data.draw(st.booleans()):  # it has come to the engine
            used.prompt = let.demand.prompt_tokens
            used.reasoning = data.draw(st.integers(0, let.demand.reasoning_tokens))
            used.answer = data.draw(st.integers(0, 2 * let.demand.answer_tokens))
        let.settled_at = self.now
        self.runner.run(let.account.at_end.aclose())

    @invariant()
    def counters_hold_what_was_let_in(self) -> None:
        for quotas in self.servers:
            standings = self.runner.run(self._standings(quotas))
            for standing in standings:
                window = standing.window
                expected = sum(let.charge(window.kind, window.number) for let in self.let)
                assert standing.used == expected, window

    @invariant()
    def thoughts_never_exceed_a_quota(self) -> None:
        for kind in QUOTA_KINDS:
            if kind.unit == "tokens":
                continue  # an answer without a limit may
            for number in {int(let.at // kind.seconds) for let in self.let}:
                charged = sum(let.charge(kind, number) for let in self.let)
                assert charged <= getattr(QUOTA, kind.name)

    async def _standings(self, quotas: Quotas) -> Any:
        return await quotas.standings(self.key)

    async def _come(self, crowd: list[Demand], server: int) -> None:
        async def come(index: int, demand: Demand) -> None:
            account = RequestAccount("id", METRICS, key=self.key)
            quotas = self.servers[(server + index) % len(self.servers)]
            try:
                await quotas.reserve(account, demand)
            except QuotaExceededError as error:
                refused.append((demand, error))
                await account.at_end.aclose()
            else:
                self.let.append(Let(account, demand, self.now))

        refused: list[tuple[Demand, QuotaExceededError]] = []
        await asyncio.gather(*(come(*numbered) for numbered in enumerate(crowd)))
        for _, error in refused:
            self._assert_had_no_room(error)

    def _assert_had_no_room(self, error: QuotaExceededError) -> None:
        """Not even now, when others of the crowd have been let in, too."""
        window, asked = error.refused.standing.window, error.refused.asked
        charged = sum(let.charge(window.kind, window.number) for let in self.let)
        assert charged + asked > window.limit
