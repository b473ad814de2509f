"""Whole replies under one pool (law 12), in a toy world of drawn lengths and interleavings."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinking.strategies.best_of import BestOf
from thinking.strategies.branch import Branch
from thinking.strategies.confidence import ConfidenceScorer
from thinking.strategies.pool import ThinkingPool
from thinking.strategies.protocol import SearchLimit, SearchResult, Strategy
from thinking.strategies.reward import Reward
from thinking.strategies.self_consistency import SelfConsistency, count_deciding_votes
from thinking.strategies.whole import WholeBranches

END = -1


@dataclass(frozen=True)
class Draft:
    """A reply that would be written if nothing cut it."""

    thought: int  # tokens
    answer: int  # tokens, the end of the reply included
    vote: int


class ToyWriter:
    """Writes the drafts in order; the first branch is the first draft."""

    def __init__(self, drafts: Sequence[Draft], budget: int, answer_room: int, seed: int) -> None:
        self.pool = ThinkingPool(budget)
        self.answer_room = answer_room
        self.largest_gap = 0
        self._drafts = list(drafts)
        self._of_branch: dict[tuple[int, ...], Draft] = {}
        self._rng = random.Random(seed)

    @property
    def root(self) -> Branch:
        return Branch()

    async def complete(
        self, branch: Branch, max_tokens: int, max_answer_tokens: int | None = None
    ) -> Branch:
        self.pool.reserve(max_tokens)
        if branch.token_ids:
            number = branch.token_ids[0]
            draft = self._drafts[number]
        else:
            number = len(self._of_branch)
            self._of_branch[(number,)] = draft = self._drafts[number]
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)  # other branches may run
        thought = min(draft.thought, self.pool.budget)  # a plan closes it there
        answer = draft.answer if max_answer_tokens is None else min(draft.answer, max_answer_tokens)
        length = max(
            len(branch.token_ids), min(len(branch.token_ids) + max_tokens, thought + answer)
        )
        self.pool.settle(max_tokens, length - len(branch.token_ids))
        num_answer = max(0, length - thought)
        return replace(
            branch,
            token_ids=(number,) * length,
            num_hidden=min(length, thought),
            num_answer=num_answer,
            answer_logprob=-0.1 * num_answer,
            weakest_line=-0.01 * number,
            is_thinking=length < thought,
            thought_is_over=length >= thought,
            finish_reason="stop" if num_answer == draft.answer else None,
        )

    async def step(self, branch: Branch, max_tokens: int) -> Branch:
        raise AssertionError("whole replies are not written by steps")

    def decode_answer(self, branch: Branch) -> str:
        return str(self._drafts[branch.token_ids[0]].vote) if branch.num_answer else ""


N = 6
drafts = st.lists(
    st.builds(Draft, st.integers(1, 60), st.integers(1, 30), st.integers(0, 2)),
    min_size=N,
    max_size=N,
)
branches = st.builds(WholeBranches, st.integers(2, N), st.none() | st.integers(1, 20))
searches = st.one_of(
    st.builds(BestOf, branches), st.builds(SelfConsistency, branches), st.builds(Reward, branches)
)


def search(strategy: Strategy, writer: ToyWriter) -> SearchResult:
    return asyncio.run(strategy.search(writer, ConfidenceScorer()))


@given(
    drafts,
    searches,
    st.integers(1, 400),
    st.sampled_from([1, 10, 25, 2000]),
    st.integers(0, 99),
)
def test_the_pool_is_kept_and_the_chosen_thought_is_whole(
    drawn: list[Draft], strategy: Strategy, budget: int, answer_room: int, seed: int
) -> None:
    writer = ToyWriter(drawn, budget, answer_room, seed)
    result = search(strategy, writer)
    assert writer.pool.reserved == 0
    assert writer.pool.spent <= budget
    # Of the first thought nothing is missing that a single one would have; nor of any other.
    chosen = drawn[result.branch.token_ids[0]]
    assert result.branch.num_hidden == min(chosen.thought, budget)
    assert not result.branch.is_thinking


@given(drafts, branches, st.integers(1, 400), st.integers(0, 99))
def test_tokens_are_left_over_only_where_no_branch_was_cut(
    drawn: list[Draft], shape: WholeBranches, budget: int, seed: int
) -> None:
    writer = ToyWriter(drawn, budget, 2000, seed)
    strategy = BestOf(shape)
    replies = asyncio.run(strategy.write_all(writer))
    assert replies.num_begun <= shape.n
    assert not (replies.cut and writer.pool.left)
    everything = replies.num_begun == shape.n and not replies.cut
    assert (replies.limited_by is None) == everything
    if replies.limited_by is SearchLimit.POOL and not replies.cut:
        mean = sum(len(b.token_ids) for b in replies.written) / len(replies.written)
        assert writer.pool.left < mean


def test_what_one_branch_leaves_another_uses() -> None:
    """Equal shares are 30 tokens: too few for the long one, which the short ones make room for."""
    drawn = [Draft(10, 2, 0), Draft(40, 2, 0), Draft(10, 2, 0), Draft(10, 2, 0)]
    writer = ToyWriter(drawn, 4 * 30, 2000, seed=0)
    replies = asyncio.run(BestOf(WholeBranches(4)).write_all(writer))
    assert [len(b.token_ids) for b in replies.written] == [12, 12, 12, 42]
    assert replies.limited_by is None


def test_a_budget_for_two_thoughts_has_two_of_five() -> None:
    writer = ToyWriter([Draft(50, 2, 7)] * 5, 110, 2000, seed=0)
    result = search(SelfConsistency(WholeBranches(5)), writer)
    assert (writer.pool.spent, result.limited_by) == (104, SearchLimit.POOL)


def test_an_answer_that_may_need_the_rest_of_the_reply_gets_it() -> None:
    """Its trial is as long as the room that is sure to be left: more branches would cut it."""
    writer = ToyWriter([Draft(20, 200, 7)] * 4, 300, 40, seed=0)
    result = search(BestOf(WholeBranches(4, 8)), writer)
    assert (writer.pool.spent, result.limited_by) == (60, SearchLimit.REPLY)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=9), st.integers(0, 99))
def test_a_vote_that_stops_early_has_the_winner_of_the_whole_vote(
    votes: list[int], seed: int
) -> None:
    counts = Counter(votes).most_common()
    writer = ToyWriter([Draft(5, 2, vote) for vote in votes], 10_000, 2000, seed)
    result = search(SelfConsistency(WholeBranches(len(votes))), writer)
    best = {vote for vote, count in counts if count == counts[0][1]}
    assert int(writer.decode_answer(result.branch)) in best
    assert (writer.pool.spent < 7 * len(votes)) == (result.limited_by is SearchLimit.VOTE)


@pytest.mark.parametrize(
    ("counts", "num_open", "expected"),
    [([1], 4, 2), ([3], 2, 0), ([2, 1], 2, 1), ([1, 1], 3, 2), ([2, 2], 1, 1), ([2, 1], 0, 0)],
)
def test_votes_that_decide(counts: list[int], num_open: int, expected: int) -> None:
    assert count_deciding_votes(counts, num_open) == expected


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 12))
def test_no_fewer_votes_could_decide(counts: list[int], num_open: int) -> None:
    ordered = sorted([*counts, 0], reverse=True)

    def decides(votes_for_the_leader: int) -> bool:
        others = num_open - votes_for_the_leader
        return ordered[0] + votes_for_the_leader > ordered[1] + others

    most = count_deciding_votes(counts, num_open)
    assert not any(decides(fewer) for fewer in range(min(most, num_open + 1)))
    assert most > num_open or decides(most)
