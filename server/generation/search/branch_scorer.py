"""A strategy's scorer, on the server's reward model: branches in, scores out.

Turns branches into what the reward model reads. Thoughts go to the operator's own reward
model and nowhere else.
"""

from collections.abc import Sequence

from server.generation.job import GenerationJob
from server.generation.search.branch_writer import EngineBranchWriter
from server.generation.search.reward_model import Candidate, RewardModel
from server.model.served_model import ServedModel
from thinking.strategies.branch import Branch
from thinking.strategies.confidence import ConfidenceScorer
from thinking.strategies.protocol import Scorer


class BranchScorer:
    """A :class:`~thinking.strategies.protocol.Scorer` for the branches of one choice."""

    def __init__(
        self,
        reward_model: RewardModel,
        model: ServedModel,
        job: GenerationJob,
        writer: EngineBranchWriter,
    ) -> None:
        self._reward_model = reward_model
        self._model = model
        self._job = job
        self._writer = writer

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """See :meth:`thinking.strategies.protocol.Scorer.score`.

        Raises:
            ScorerError: the reward model gave none.
        """
        assert self._job.search is not None
        candidates = [self._candidate(branch) for branch in branches]
        return await self._reward_model.judge(self._job.search.messages, candidates)

    def _candidate(self, branch: Branch) -> Candidate:
        return Candidate(
            token_ids=(*self._job.prompt.token_ids, *branch.token_ids),
            thought=self._writer.thought_text(branch),
            answer=self._writer.decode_answer(branch),
        )


def scorer_for(model: ServedModel, job: GenerationJob, writer: EngineBranchWriter) -> Scorer:
    """The reward model where the strategy needs one, else the model's own confidence."""
    assert job.search is not None
    if job.search.reward_model is None:
        return ConfidenceScorer()
    return BranchScorer(job.search.reward_model, model, job, writer)
