"""Scores without a reward model: how probable the model finds what it thinks.

The geometric mean of the probabilities of the thought's own tokens, from 0 to 1.
"""

import math
from collections.abc import Sequence

from thinking.strategies.branch import Branch


class ConfidenceScorer:
    """A :class:`~thinking.strategies.protocol.Scorer`."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """``exp`` of the mean log-probability; 0 where the model has chosen nothing yet."""
        return [math.exp(branch.thought_confidence) for branch in branches]
