"""Whole replies under one pool: the common part of best-of, self-consistency and reward.

The first reply is the one that a request without a search would get: its thought may take the
whole budget. What it leaves is for further replies, as many as will probably fit; what one of them
leaves, the others may use. A reply that was cut is continued later if the pool then has
room, and is no candidate if it has not. Does not choose among the replies.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, SearchLimit

MIN_ANSWER_TOKENS = 8
MAX_DEFAULT_ANSWER_TOKENS = 256
ANSWER_SHARE = 4  # by default a trial answer has at most a quarter of a branch's equal share
# Room for an answer that is enough, whatever the first reply's answer turns out to need.
AMPLE_ANSWER_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class WholeBranches:
    """Number of replies, and the tokens of each for its trial answer (None: the default)."""

    n: int
    answer_tokens: int | None = None

    def choose_answer_tokens(self, budget: int) -> int:
        """Return the length at which a trial answer is left, if its end is not needed."""
        if self.answer_tokens is not None:
            return self.answer_tokens
        share = budget // self.n // ANSWER_SHARE
        return max(MIN_ANSWER_TOKENS, min(MAX_DEFAULT_ANSWER_TOKENS, share))


@dataclass(slots=True)
class Replies:
    """Replies of one search.

    `answer_tokens` is where a trial answer is left; None: at its end. `written` are the
    candidates, the first reply among them; `cut` ran out of their tokens.
    """

    writer: BranchWriter
    n: int
    answer_tokens: int | None
    written: list[Branch] = field(default_factory=list)
    cut: list[Branch] = field(default_factory=list)
    num_begun: int = 0
    limited_by: SearchLimit | None = None

    @property
    def num_waiting(self) -> int:
        """Number of replies that have not been begun."""
        return self.n - self.num_begun

    async def write(self, count_useful: Callable[["Replies"], int] | None = None) -> None:
        """Write the first reply, then further ones in parallel.

        `count_useful` is asked before each round how many more replies are useful now; None:
        all that were requested. 0 ends the search: the result is certain.
        """
        if not await self._write_first():
            self.limited_by = SearchLimit.REPLY
            return
        while num_open := self.num_waiting + len(self.cut):
            useful = num_open if count_useful is None else count_useful(self)
            if not useful:
                self.limited_by = SearchLimit.VOTE
                return
            if num_fitting := self._count_fitting():
                await self._begin(min(useful, num_fitting), self.writer.pool.left // num_fitting)
            elif self.cut and self.writer.pool.left:
                await self._continue_longest()
            else:
                self.limited_by = SearchLimit.POOL
                return

    async def _write_first(self) -> bool:
        """Write the first reply; return False if its answer may need all that is left."""
        writer, most = self.writer, self.answer_tokens
        room = writer.answer_room
        if most is not None and room < AMPLE_ANSWER_TOKENS:
            most = max(most, room)
        self.num_begun = 1
        first = await writer.complete(writer.root, writer.pool.left, most)
        self.written.append(first)
        return first.finish_reason is not None or first.num_answer < room

    def _count_fitting(self) -> int:
        """Return how many further replies fit, if they are as long as those written so far."""
        need = ceil(sum(len(b.token_ids) for b in self.written) / len(self.written))
        return min(self.num_waiting, self.writer.pool.left // max(1, need))

    async def _begin(self, num: int, allowance: int) -> None:
        self.num_begun += num
        writer = self.writer
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(writer.complete(writer.root, allowance, self.answer_tokens))
                for _ in range(num)
            ]
        for task in tasks:
            self._keep(task.result())

    async def _continue_longest(self) -> None:
        """Give all that is left to the longest reply that was cut: it is nearest to its end."""
        longest = max(self.cut, key=lambda branch: len(branch.token_ids))
        self.cut.remove(longest)
        self._keep(await self.writer.complete(longest, self.writer.pool.left, self.answer_tokens))

    def _keep(self, branch: Branch) -> None:
        if self._is_whole(branch):
            self.written.append(branch)
        elif branch.finish_reason is None:  # or the context would have no room for its answer
            self.cut.append(branch)

    def _is_whole(self, branch: Branch) -> bool:
        if branch.is_thinking or not branch.num_answer:
            return False
        is_left = self.answer_tokens is not None and branch.num_answer >= self.answer_tokens
        return is_left or branch.finish_reason is not None


@dataclass(frozen=True, slots=True)
class WholeStrategy:
    """Base of the strategies that write whole replies; a subclass chooses among them."""

    branches: WholeBranches

    @property
    def num_branches(self) -> int:
        """See :class:`~thinking.strategies.protocol.Strategy`."""
        return self.branches.n

    @property
    def num_requested(self) -> int | None:
        """See :class:`~thinking.strategies.protocol.Strategy`."""
        return self.branches.n

    async def write_all(self, writer: BranchWriter) -> Replies:
        """Write all replies that fit."""
        answer_tokens = self.branches.choose_answer_tokens(writer.pool.budget)
        replies = Replies(writer, self.branches.n, answer_tokens)
        await replies.write()
        return replies
