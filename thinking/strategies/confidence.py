"""Scores branches without a reward model: by how probable the thought is to the model.

A score is the geometric mean of the token probabilities in the weakest line, from 0 to 1.
"""

import math
from collections.abc import Sequence

from thinking.strategies.branch import Branch


class ConfidenceScorer:
    """A :class:`~thinking.strategies.protocol.Scorer` that needs no reward model."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """Return ``exp`` of the mean log-probability of each branch's weakest line."""
        return [math.exp(branch.thought_confidence) for branch in branches]
