"""Gathered tokens: none lost, none late where it matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.engine.gathering import Gathering, TokenGatherer

END = (8, 9)
CALL = (7,)
MAX_WAIT_SECONDS = 0.5
STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9), min_size=1, max_size=4),
        st.booleans(),  # may wait
        st.floats(0, 2 * MAX_WAIT_SECONDS),
    ),
    min_size=1,
    max_size=40,
)


@dataclass
class Clock:
    """A clock that stands still unless told otherwise."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def ends(token_ids: Sequence[int]) -> bool:
    """True if a thought of these tokens is over."""
    return 7 in token_ids or END in pairwise(token_ids)


@given(STEPS)
def test_every_token_comes_once_in_order_and_no_later_than_it_may(
    steps: Sequence[tuple[list[int], bool, float]],
) -> None:
    clock = Clock()
    gatherer = TokenGatherer(Gathering([END, CALL], MAX_WAIT_SECONDS), clock)
    pushed: list[int] = []
    handed_over: list[int] = []
    waits_since: float | None = None
    for place, (token_ids, may_wait, seconds) in enumerate(steps):
        clock.now += seconds
        handed = gatherer.push(token_ids, may_wait=may_wait)
        pushed += token_ids
        if handed is None:
            waits_since = clock.now if waits_since is None else waits_since
            assert place > 0
            assert may_wait
            assert not ends(pushed)
            assert clock.now < waits_since + MAX_WAIT_SECONDS
            continue
        handed_over += handed
        assert handed_over == pushed
        waits_since = None
    assert handed_over == pushed[: len(handed_over)]


def test_the_first_token_comes_at_once_and_what_follows_the_end_too() -> None:
    gatherer = TokenGatherer(Gathering([END, CALL], MAX_WAIT_SECONDS), Clock())
    assert gatherer.push([1], may_wait=True) == [1]
    assert gatherer.push([2, 9], may_wait=True) is None  # an end marker's last token alone
    assert gatherer.push([8], may_wait=True) is None
    assert gatherer.push([9], may_wait=True) == [2, 9, 8, 9]
    assert gatherer.push([3], may_wait=True) == [3]


def test_requests_are_handed_over_at_the_same_tick() -> None:
    """Else a step would carry a message for some of them each time."""
    clock = Clock()
    gatherers = [TokenGatherer(Gathering([END], MAX_WAIT_SECONDS), clock) for _ in range(8)]
    handed = []
    for step in range(40):
        clock.now = step * MAX_WAIT_SECONDS / 10
        started = gatherers[: step + 1]  # each joins a step later than the one before
        handed.append([gatherer.push([1], may_wait=True) is not None for gatherer in started])
    for waiting in handed[len(gatherers) :]:
        assert len({*waiting}) == 1
    assert any(chain(*handed[len(gatherers) :]))


def test_what_waits_is_not_lost_when_the_reader_leaves() -> None:
    gatherer = TokenGatherer(Gathering([END], MAX_WAIT_SECONDS), Clock())
    assert gatherer.push([1], may_wait=True) == [1]
    assert gatherer.push([2, 3], may_wait=True) is None
    assert gatherer.take_waiting() == [2, 3]
    assert gatherer.take_waiting() == []
    assert gatherer.push(END, may_wait=True) == [*END]
