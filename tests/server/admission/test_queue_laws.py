"""Laws of the admission queue: capacity, no lost slots, priority, fairness, leaving."""

import asyncio
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.admission.fair_queue import MAX_IDLE_LEVELS
from server.admission.queue import AdmissionQueue, QueueLimits, Ticket
from server.admission.refusals import (
    QueueFullError,
    RefusedError,
    TooManyConcurrentError,
)
from server.keys.key import AccessKey
from tests.examples import examples

NUM_SLOTS = 4
MAX_WAITING = 6
KEYS = [
    AccessKey("low", priority=-1),
    AccessKey("one"),
    AccessKey("two", max_concurrent_requests=3),
    AccessKey("high", priority=1),
]


def make_queue(num_slots: int = NUM_SLOTS, max_waiting: int = 10_000) -> AdmissionQueue:
    return AdmissionQueue(QueueLimits(lambda: num_slots, max_waiting))


class QueueMachine(RuleBasedStateMachine):
    """Requests join, end and give up waiting, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = make_queue(max_waiting=MAX_WAITING)
        self.tickets: list[Ticket] = []

    def open_tickets(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if not ticket.is_over]

    @rule(
        key=st.sampled_from(KEYS),
        num_requests=st.integers(0, 6),
        lowered_by=st.sampled_from((0, 0, 1, 2**63 - 1)),
    )
    def join(self, key: AccessKey, num_requests: int, lowered_by: int) -> None:
        num_own = sum(ticket.key_id == key.key_id for ticket in self.open_tickets())
        limit = key.max_concurrent_requests
        try:
            self.tickets.append(self.queue.join(key, num_requests, lowered_by))
        except TooManyConcurrentError:
            assert num_own == limit
        except QueueFullError:
            assert self.queue.num_waiting == MAX_WAITING
        else:
            assert limit is None or num_own < limit

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.tickets)).leave()  # possibly a second time

    @invariant()
    def held_slots_never_exceed_the_capacity(self) -> None:
        admitted = [ticket for ticket in self.open_tickets() if ticket.is_admitted]
        assert self.queue.num_held == sum(ticket.cost for ticket in admitted) <= NUM_SLOTS

    @invariant()
    def no_request_waits_that_would_fit(self) -> None:
        waiting = [ticket for ticket in self.open_tickets() if not ticket.is_admitted]
        assert len(waiting) == self.queue.num_waiting <= MAX_WAITING
        highest = max((ticket.priority for ticket in waiting), default=0)
        heads = [ticket.cost for ticket in waiting if ticket.priority == highest]
        # The next request does not fit: at least one of the highest priority does not.
        assert not heads or self.queue.num_held + min(max(heads), NUM_SLOTS) > NUM_SLOTS

    def teardown(self) -> None:
        for _ in range(len(self.tickets) + 1):
            for ticket in self.open_tickets():
                if ticket.is_admitted:
                    ticket.leave()
        assert self.queue.num_waiting == self.queue.num_held == 0


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=examples(200), stateful_step_count=30)


def serve_in_order(queue: AdmissionQueue, tickets: list[Ticket]) -> list[Ticket]:
    """Let the running requests end one by one; return the order of admission (one slot)."""
    order: list[Ticket] = []
    while len(order) < len(tickets):
        (running,) = [ticket for ticket in tickets if ticket.is_admitted and not ticket.is_over]
        order.append(running)
        running.leave()
    return order


arrivals = st.lists(st.sampled_from(KEYS[:2] + KEYS[3:]), min_size=1, max_size=60)


@given(keys=arrivals)
def test_a_higher_priority_is_served_first_and_a_key_keeps_its_order(
    keys: list[AccessKey],
) -> None:
    queue = make_queue(num_slots=1)
    blocker = queue.join(AccessKey("blocker"), 1)
    tickets = [queue.join(key, 1) for key in keys]
    blocker.leave()
    order = serve_in_order(queue, tickets)
    priorities = [ticket.priority for ticket in order]
    assert priorities == sorted(priorities, reverse=True)
    by_key: dict[str, list[int]] = defaultdict(list)
    for ticket in order:
        by_key[ticket.key_id].append(tickets.index(ticket))
    assert all(places == sorted(places) for places in by_key.values())


@given(
    before=st.integers(0, 50),
    num_waiting=st.integers(1, 200),
    num_other=st.integers(1, 20),
)
def test_a_key_with_many_requests_does_not_delay_anothers(
    before: int, num_waiting: int, num_other: int
) -> None:
    queue = make_queue(num_slots=1)
    greedy, modest = AccessKey("greedy"), AccessKey("modest")
    first = queue.join(greedy, 1)
    tickets = [queue.join(greedy, 1) for _ in range(num_waiting + before)]
    for _ in range(before):
        first.leave()
        first = next(t for t in tickets if t.is_admitted and not t.is_over)
    others = [queue.join(modest, 1) for _ in range(num_other)]
    tickets = [ticket for ticket in tickets if not ticket.is_over and ticket is not first]
    first.leave()
    order = serve_in_order(queue, [*tickets, *others]) if tickets else others
    for place, ticket in enumerate(others):
        # At most one request of the greedy key between two of the modest key.
        assert order.index(ticket) <= 2 * place + 1


@given(costs=st.lists(st.integers(1, 4), min_size=40, max_size=40))
def test_slots_are_shared_fairly_whatever_the_requests_take(costs: list[int]) -> None:
    queue = make_queue(num_slots=4)
    blocker = queue.join(AccessKey("blocker"), 4)
    keys = [AccessKey("one"), AccessKey("two")]
    tickets = [queue.join(keys[i % 2], cost) for i, cost in enumerate(costs)]
    blocker.leave()
    served = {"one": 0, "two": 0}
    waiting = {"one": 20, "two": 20}
    counted: set[Ticket] = set()
    while all(waiting.values()):
        running = [ticket for ticket in tickets if ticket.is_admitted and not ticket.is_over]
        for ticket in running:
            if ticket not in counted:
                counted.add(ticket)
                served[ticket.key_id] += ticket.cost
                waiting[ticket.key_id] -= 1
        if all(waiting.values()):
            # The bound of SFQ: the difference is at most one largest request of each key.
            assert abs(served["one"] - served["two"]) <= 8
        running[0].leave()


def test_a_request_for_all_slots_is_not_overtaken_by_smaller_ones() -> None:
    queue = make_queue()
    small = queue.join(AccessKey("one"), 1)
    large = queue.join(AccessKey("one"), 99)
    later = queue.join(AccessKey("one"), 1)
    assert not large.is_admitted
    assert not later.is_admitted
    small.leave()
    assert (large.is_admitted, large.cost, later.is_admitted) == (True, NUM_SLOTS, False)
    large.leave()
    assert later.is_admitted


def test_a_full_queue_makes_room_for_a_higher_priority_and_for_another_key() -> None:
    queue = make_queue(num_slots=1, max_waiting=4)
    flood = [queue.join(AccessKey("flood"), 1) for _ in range(5)]
    with pytest.raises(QueueFullError):
        queue.join(AccessKey("flood"), 1)
    other = queue.join(AccessKey("other"), 1)
    urgent = queue.join(AccessKey("urgent", priority=1), 1)
    assert not other.is_over
    assert not urgent.is_over
    assert [ticket.is_over for ticket in flood] == [False, False, False, True, True]
    assert all(ticket.refusal is not None for ticket in flood[3:])
    assert queue.num_waiting == 4


@pytest.mark.parametrize("num_freed", [0, 1, 1000])
def test_retry_after_is_bounded_and_follows_the_pace(num_freed: int) -> None:
    now = [0.0]
    queue = AdmissionQueue(QueueLimits(lambda: 1, 100), now=lambda: now[0])
    for _ in range(num_freed):
        ticket = queue.join(AccessKey("one"), 1)
        now[0] += 10.0 / num_freed
        ticket.leave()
    tickets = [queue.join(AccessKey("one"), 1) for _ in range(101)]
    with pytest.raises(QueueFullError) as refused:
        queue.join(AccessKey("one"), 1)
    seconds = int(refused.value.headers["retry-after"])
    assert {0: seconds == 5, 1: seconds == 60, 1000: 1 <= seconds <= 2}[num_freed], seconds
    assert len(tickets) == 101


@settings(max_examples=examples(60))
@given(
    requests=st.lists(
        st.tuples(st.sampled_from(KEYS), st.integers(1, 6), st.integers(0, 5), st.booleans()),
        max_size=25,
    ),
    cancels=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 20)), max_size=15),
)
def test_cancelling_anywhere_leaks_no_slot(
    requests: list[tuple[AccessKey, int, int, bool]], cancels: list[tuple[int, int]]
) -> None:
    async def run_one(queue: AdmissionQueue, key: AccessKey, cost: int, turns: int) -> None:
        try:
            ticket = queue.join(key, cost)
        except RefusedError:
            return
        try:
            await ticket.wait_admitted()
            assert ticket.is_admitted
            assert queue.num_held <= NUM_SLOTS
            for _ in range(turns):
                await asyncio.sleep(0)
        except RefusedError:
            assert not ticket.is_admitted
        finally:
            ticket.leave()

    async def run_all() -> None:
        queue = make_queue(max_waiting=MAX_WAITING)
        tasks = []
        for key, cost, turns, pauses in requests:
            tasks.append(asyncio.create_task(run_one(queue, key, cost, turns)))
            if pauses:
                await asyncio.sleep(0)
        for number, turns in cancels:
            for _ in range(turns):
                await asyncio.sleep(0)
            if number < len(tasks):
                tasks[number].cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert not [r for r in results if r is not None and type(r) is not asyncio.CancelledError]
        assert queue.num_waiting == queue.num_held == 0
        ticket = queue.join(AccessKey("last"), NUM_SLOTS)
        assert ticket.is_admitted

    asyncio.run(run_all())


@given(st.lists(st.tuples(st.sampled_from(KEYS[:2] + KEYS[3:]), st.integers(0, 3)), max_size=40))
def test_a_lowered_request_waits_as_one_of_a_key_with_that_priority(
    arrived: list[tuple[AccessKey, int]],
) -> None:
    queue, like = make_queue(num_slots=1), make_queue(num_slots=1)
    blockers = [one.join(AccessKey("blocker"), 1) for one in (queue, like)]
    lowered = [queue.join(key, 1, lowered_by) for key, lowered_by in arrived]
    own = [
        like.join(replace(key, priority=key.priority - lowered_by), 1)
        for key, lowered_by in arrived
    ]
    for blocker in blockers:
        blocker.leave()
    orders = [serve_in_order(queue, lowered), serve_in_order(like, own)]
    assert [lowered.index(ticket) for ticket in orders[0]] == [
        own.index(ticket) for ticket in orders[1]
    ]


def test_a_request_cannot_come_before_its_keys_others() -> None:
    queue = make_queue(num_slots=1)
    with pytest.raises(AssertionError):
        queue.join(AccessKey("one"), 1, -1)


def test_priorities_that_clients_invent_are_forgotten() -> None:
    queue = make_queue()
    for lowered_by in range(5 * MAX_IDLE_LEVELS):
        queue.join(AccessKey("one"), 1, lowered_by).leave()
    assert len(queue._waiting._levels) <= MAX_IDLE_LEVELS
