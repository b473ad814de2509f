"""Steps of thought under one pool: the common part of beam search and tree search.

A step is a line of thought, or as much of it as its allowance holds. Before any step, a whole
thought is written as if it were the only one: it shows how long thoughts and lines are, and is the
reply if the steps find nothing better. Does not know which branches are extended.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer, SearchLimit, SearchResult

MIN_STEP_TOKENS = 2


@dataclass(frozen=True, slots=True)
class ScoredBranch:
    """A branch with its score, from 0 to 1."""

    branch: Branch
    score: float


@dataclass(frozen=True, slots=True)
class Steps:
    """Longest step, in tokens."""

    step_tokens: int

    async def begin(self, writer: BranchWriter, scorer: Scorer) -> "StepSearch":
        """Return a search that has written its first, whole thought."""
        first = await writer.complete(writer.root, writer.pool.left, 0)
        return StepSearch(writer, scorer, self.step_tokens, first)


@dataclass(slots=True)
class StepSearch:
    """Steps of one search; `first` is the whole thought that it starts with.

    `limited_by` is set once the pool had no room for all steps that were asked for.
    """

    writer: BranchWriter
    scorer: Scorer
    step_tokens: int
    first: Branch
    limited_by: SearchLimit | None = None

    async def expand(self, branches: Sequence[Branch]) -> list[ScoredBranch]:
        """Extend each of `branches` by a step; return the distinct results with their scores.

        A branch may be given more than once. Where the pool has no room for all, only the
        first ones are extended; the result is empty if there is no choice left. What the longest
        branch needs to come to its end, if it is as long as the first thought, is not touched.
        """
        longest = max(branches, key=lambda branch: branch.num_hidden)
        spendable = self.writer.pool.left - self._count_rest(longest)
        line = max(MIN_STEP_TOKENS, min(self.step_tokens, self._line_tokens))
        num_fitting = max(0, spendable // line)
        if num_fitting < len(branches):
            self.limited_by = SearchLimit.POOL
            branches = branches[:num_fitting]
        if len(branches) < 2:
            return []
        allowance = min(self.step_tokens, spendable // len(branches))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.writer.step(b, allowance)) for b in branches]
        different = {task.result().token_ids: task.result() for task in tasks}
        return await self._rate(list(different.values()))

    async def choose(self, ended: Sequence[Branch], open_ones: Sequence[Branch]) -> SearchResult:
        """Return the best whole thought: the first one, one of `ended`, or one of `open_ones`.

        `open_ones` are in the order in which they should be tried; the first of them that will
        probably fit the pool is completed.
        """
        candidates = [self.first, *ended]
        for branch in open_ones:
            if self._count_rest(branch) <= self.writer.pool.left:
                candidates.append(await self._complete(branch))
                break
        whole = [branch for branch in candidates if branch.thought_is_over]
        if len(whole) < 2:
            return SearchResult(self.first, self.limited_by)
        rated = sorted(await self._rate(whole), key=lambda scored: -scored.score)
        best = rated[0].branch
        if best.is_thinking:  # the end of its marker or a lead-in is missing
            best = await self._complete(best)
        return SearchResult(self.first if best.is_thinking else best, self.limited_by)

    async def _complete(self, branch: Branch) -> Branch:
        left = self.writer.pool.left
        return await self.writer.complete(branch, left, 0) if left else branch

    async def _rate(self, branches: list[Branch]) -> list[ScoredBranch]:
        """Return `branches` with their scores.

        A score is the geometric mean of the scorer's and of the model's own confidence, as in
        self-evaluation guided beam search (arXiv 2305.00633): a reward model alone leads a search
        to steps that please it and that the model itself finds improbable.
        """
        scores = await self.scorer.score(branches)
        return [
            ScoredBranch(branch, math.sqrt(score * math.exp(branch.thought_confidence)))
            for branch, score in zip(branches, scores, strict=True)
        ]

    @property
    def _line_tokens(self) -> int:
        return max(self.first.longest_line, self.first.line.num_tokens)

    def _count_rest(self, branch: Branch) -> int:
        """Return the tokens that `branch` needs to its end if it is a line longer than `first`."""
        return max(self._line_tokens, self.first.num_hidden + self._line_tokens - branch.num_hidden)
