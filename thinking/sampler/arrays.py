"""The array library that the sampler computes with: numpy on the CPU, torch on a GPU.

A step is about a hundred operations on a few hundred numbers. On the CPU its cost is the
fixed overhead per operation, and numpy's is a fifth of torch's. Code that uses an ``Array``
is limited to what both libraries spell alike (operators, indexing, ``any``, ``all``); the
rest is here. Knows nothing of what the arrays mean.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

Array = Any  # numpy.ndarray or torch.Tensor


class ArrayLibrary(Protocol):
    """Arrays on one device. Dtypes are given by the names that both libraries share."""

    def zeros(self, shape: Sequence[int], dtype: str) -> Array:
        """Return an array of zeros."""

    def put(self, values: Any, dtype: str) -> Array:
        """Return numbers of the host as an array; does not wait for the copy to a GPU."""

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        """Return `yes` where `condition` is true, else `no`, elementwise."""

    def minimum(self, first: Array, second: Array) -> Array:
        """Return the elementwise minimum."""

    def concatenate(self, first: Array, second: Array) -> Array:
        """Join two ``[n, …]`` arrays along their second dimension."""

    def logsumexp(self, values: Array) -> Array:
        """Reduce ``[n, k]`` to ``[n, 1]``."""

    def view(self, tensor: torch.Tensor) -> Array:
        """Return `tensor` as an array, on the same memory."""

    def tensor(self, array: Array) -> torch.Tensor:
        """Return `array` as a tensor, on the same memory."""


class NumpyArrays:
    """numpy arrays on the CPU."""

    def zeros(self, shape: Sequence[int], dtype: str) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.zeros(shape, dtype)

    def put(self, values: Any, dtype: str) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.asarray(values, dtype)

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.where(condition, yes, no)

    def minimum(self, first: Array, second: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.minimum(first, second)

    def concatenate(self, first: Array, second: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.concatenate((first, second), axis=1)

    def logsumexp(self, values: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return np.logaddexp.reduce(values, axis=1, keepdims=True)

    def view(self, tensor: torch.Tensor) -> Array:
        """See :class:`ArrayLibrary`."""
        return tensor.numpy()

    def tensor(self, array: Array) -> torch.Tensor:
        """See :class:`ArrayLibrary`."""
        return torch.from_numpy(array)


class TorchArrays:
    """torch tensors on any device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def zeros(self, shape: Sequence[int], dtype: str) -> Array:
        """See :class:`ArrayLibrary`."""
        return torch.zeros(*shape, dtype=getattr(torch, dtype), device=self.device)

    def put(self, values: Any, dtype: str) -> Array:
        """See :class:`ArrayLibrary`."""
        tensor = torch.from_numpy(np.array(values, dtype))
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        """See :class:`ArrayLibrary`."""
        return torch.where(condition, yes, no)

    def minimum(self, first: Array, second: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return torch.minimum(first, second)

    def concatenate(self, first: Array, second: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return torch.cat((first, second), dim=1)

    def logsumexp(self, values: Array) -> Array:
        """See :class:`ArrayLibrary`."""
        return torch.logsumexp(values, dim=1, keepdim=True)

    def view(self, tensor: torch.Tensor) -> Array:
        """See :class:`ArrayLibrary`."""
        return tensor

    def tensor(self, array: Array) -> torch.Tensor:
        """See :class:`ArrayLibrary`."""
        assert isinstance(array, torch.Tensor)
        return array


def arrays_for(device: torch.device) -> ArrayLibrary:
    """Return the faster library for `device`."""
    return NumpyArrays() if device.type == "cpu" else TorchArrays(device)
