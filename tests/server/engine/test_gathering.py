"""Gathered tokens: none lost, none late where it matters."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from server.engine.gathering import MAX_WAIT_SECONDS, TokenGatherer

END = 10
STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9) | st.just(END), min_size=1, max_size=4),
        st.none() | st.booleans(),  # what the reader says after a hand-over, if it is quick enough
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


@given(STEPS)
def test_every_token_comes_once_in_order_and_no_later_than_it_may(
    steps: Sequence[tuple[list[int], bool | None, float]],
) -> None:
    clock = Clock()
    gatherer = TokenGatherer(END, clock)
    given_over: list[int] = []
    said_at, may_wait = 0.0, False
    for place, (token_ids, answer, seconds) in enumerate(steps):
        clock.now += seconds
        is_last = place == len(steps) - 1
        handed = gatherer.push(token_ids, is_last=is_last)
        waits = may_wait and not is_last and END not in token_ids
        assert (handed is None) == (waits and clock.now < said_at + MAX_WAIT_SECONDS)
        if handed is None:
            continue
        given_over += handed
        may_wait = False
        if answer is not None:
            gatherer.let_wait(answer)
            said_at, may_wait = clock.now, answer
    assert given_over == [token_id for token_ids, _, _ in steps for token_id in token_ids]


def test_nothing_waits_until_the_reader_allows_it() -> None:
    gatherer = TokenGatherer(END, Clock())
    assert gatherer.push([1], is_last=False) == [1]
    gatherer.let_wait(True)
    assert gatherer.push([2], is_last=False) is None
    assert gatherer.push([END], is_last=False) == [2, END]
    assert gatherer.push([3], is_last=False) == [3]  # the answer has begun


def test_what_waits_is_not_lost_when_the_reader_leaves() -> None:
    gatherer = TokenGatherer(END, Clock())
    gatherer.let_wait(True)
    assert gatherer.push([1, 2], is_last=False) is None
    assert gatherer.take_waiting() == [1, 2]
    assert gatherer.take_waiting() == []
