"""The loop guard of a whole batch: ``thinking.loop_guard`` over tensors.

A fixed amount of work a row and step, however long the thought: a window of the last
``MAX_PERIOD`` tokens and one run length a period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thinking.loop_guard import MAX_PERIOD, LoopDetector
from thinking.transfer import to_device

NO_TOKEN = -1
NEVER = torch.iinfo(torch.int16).max  # a run that is never reached


class LoopTensors:
    """Slots of loop state.

    Shapes ``[capacity, MAX_PERIOD]``; column ``p - 1`` belongs to period p: `history`
    (int32, the token p steps ago), `runs` and `needed` (int16). 512 bytes a slot.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        shape = (capacity, MAX_PERIOD)
        self.history = torch.full(shape, NO_TOKEN, dtype=torch.int32, device=device)
        self.runs = torch.zeros(shape, dtype=torch.int16, device=device)
        self.needed = torch.full(shape, NEVER, dtype=torch.int16, device=device)

    def grow(self, extra: int) -> None:
        """Add `extra` slots."""
        pad = torch.nn.functional.pad
        self.history = pad(self.history, (0, 0, 0, extra), value=NO_TOKEN)
        self.runs = pad(self.runs, (0, 0, 0, extra))
        self.needed = pad(self.needed, (0, 0, 0, extra), value=NEVER)

    def write(self, slots: torch.Tensor, images: Sequence["LoopImage"]) -> None:
        """Take over detectors, one image a slot of `slots` (int64 ``[n]``)."""
        device = self.history.device
        history = np.stack([image.history for image in images])
        runs = np.stack([image.runs for image in images])
        needed = np.stack([image.needed for image in images])
        self.history[slots] = to_device(history, torch.int32, device)
        self.runs[slots] = to_device(runs, torch.int16, device)
        self.needed[slots] = to_device(needed, torch.int16, device)

    def look(self, slots: torch.Tensor, token_ids: torch.Tensor) -> "LoopLook":
        """See what a token a slot would do; nothing changes before :meth:`store`.

        Args:
            slots: int64 ``[n]``; token_ids: int64 ``[n]``.
        """
        history = self.history[slots]
        token_ids = token_ids.to(torch.int32)[:, None]
        # A run stops counting long before int16 ends: a loop closes the thought.
        longer = self.runs[slots].clamp(max=NEVER - 2) + 1
        runs = longer * (history == token_ids)
        loops = (runs >= self.needed[slots]).any(dim=1)
        return LoopLook(torch.cat((token_ids, history[:, :-1]), dim=1), runs, loops)

    def store(self, slots: torch.Tensor, look: "LoopLook", keep: torch.Tensor) -> None:
        """Keep what was seen where the thought goes on (bool ``[n]``), else forget all."""
        self.history[slots] = look.history.where(keep[:, None], NO_TOKEN)
        self.runs[slots] = look.runs * keep[:, None]


@dataclass(frozen=True, slots=True)
class LoopImage:
    """One detector as columns, int64 ``[MAX_PERIOD]`` each."""

    history: NDArray[np.int64]
    runs: NDArray[np.int64]
    needed: NDArray[np.int64]

    @classmethod
    def of(cls, detector: LoopDetector | None) -> "LoopImage":
        """A detector's state; None: one that never sees a loop."""
        history = np.full(MAX_PERIOD, NO_TOKEN, dtype=np.int64)
        runs = np.zeros(MAX_PERIOD, dtype=np.int64)
        needed = np.full(MAX_PERIOD, NEVER, dtype=np.int64)
        if detector is not None:
            guard = detector.guard
            for period in range(1, guard.max_period + 1):
                needed[period - 1] = min(guard.run_needed(period), NEVER)
            for period, token_id in enumerate(reversed(detector.history), 1):
                history[period - 1] = token_id
            for period, run in detector.runs.items():
                runs[period - 1] = min(run, NEVER - 1)
        return cls(history, runs, needed)


@dataclass(frozen=True, slots=True)
class LoopLook:
    """State after one more token, and whether (bool ``[n]``) the thought then loops."""

    history: torch.Tensor
    runs: torch.Tensor
    loops: torch.Tensor
