"""Moving small tables from Python to a device without making it wait."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray


def to_device(
    values: "Sequence[int] | NDArray[np.generic]", dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """`values` as a tensor on `device`; the copy to a GPU is queued, not waited for."""
    tensor = torch.as_tensor(values).to(dtype)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
