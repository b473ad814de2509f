"""The distribution of a token, computed from its logits by the definitions, in float64."""

import numpy as np
import torch
from numpy.typing import NDArray

from thinking.phase_sampling import PhaseSampling


def compute_distribution(logits: torch.Tensor, phase: PhaseSampling) -> NDArray[np.float64]:
    """Return the probabilities (``[vocab]``) of the tokens; no two logits are alike."""
    values = logits.double().numpy()
    if phase.is_greedy:
        certain: NDArray[np.float64] = np.eye(len(values))[values.argmax()]
        return certain
    probabilities = _normalize(np.exp((values - values.max()) / phase.temperature))
    probabilities[probabilities < phase.min_p * probabilities.max()] = 0
    order = np.argsort(-probabilities)
    if phase.top_k:
        probabilities[order[phase.top_k :]] = 0
    probabilities = _normalize(probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    probabilities[order[before >= phase.top_p]] = 0
    return _normalize(probabilities)


def _normalize(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized
