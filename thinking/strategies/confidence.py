"""Scores without a reward model: how probable the model finds what it thinks.

The geometric mean of the probabilities in its weakest line, from 0 to 1.
"""

import math
from collections.abc import Sequence

from thinking.strategies.branch import Branch


class ConfidenceScorer:
    """A :class:`~thinking.strategies.protocol.Scorer`."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """``exp`` of the weakest line's mean log-probability."""
        return [math.exp(branch.thought_confidence) for branch in branches]
