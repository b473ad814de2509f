"""A strategy's scorer: the server's reward model, or the model's own confidence.

Turns branches into what the reward model reads. Thoughts go to the operator's own reward
model and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server.generation.job import GenerationJob, SearchJob
from server.generation.search.branch_writer import EngineBranchWriter
from server.generation.search.reward_model import Candidate, RewardModel
from thinking.strategies.branch import Branch
from thinking.strategies.confidence import ConfidenceScorer
from thinking.strategies.protocol import Scorer


class BranchScorer:
    """A :class:`~thinking.strategies.protocol.Scorer` for the branches of one choice."""

    def __init__(
        self,
        reward_model: RewardModel,
        messages: Sequence[Mapping[str, Any]],
        prompt_token_ids: Sequence[int],
        writer: EngineBranchWriter,
    ) -> None:
        self._reward_model = reward_model
        self._messages = messages
        self._prompt_token_ids = prompt_token_ids
        self._writer = writer

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """See :meth:`thinking.strategies.protocol.Scorer.score`.

        Raises:
            ScorerError: the reward model gave none.
        """
        candidates = [self._to_candidate(branch) for branch in branches]
        return await self._reward_model.judge(self._messages, candidates)

    def _to_candidate(self, branch: Branch) -> Candidate:
        return Candidate(
            token_ids=(*self._prompt_token_ids, *branch.token_ids),
            thought=self._writer.decode_thought(branch),
            answer=self._writer.decode_answer(branch),
        )


def make_scorer(job: GenerationJob, search: SearchJob, writer: EngineBranchWriter) -> Scorer:
    """Return the reward model's scorer where the strategy needs it, else the model's confidence."""
    if search.reward_model is None:
        return ConfidenceScorer()
    return BranchScorer(search.reward_model, search.messages, job.prompt.token_ids, writer)
