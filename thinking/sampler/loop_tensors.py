"""The loop guard of a whole batch: ``thinking.loop_guard`` over arrays.

The work per row and step is fixed, however long the thought: a window of the last
``MAX_PERIOD`` tokens and one run length per period. Knows nothing of phases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinking.loop_guard import MAX_PERIOD, LoopDetector
from thinking.sampler.arrays import Array, ArrayLibrary

NO_TOKEN = -1
NEVER = np.iinfo(np.int16).max  # a run length that is never reached


class LoopTensors:
    """Loop state of each slot.

    Shapes ``[slots, MAX_PERIOD]``; column ``p - 1`` belongs to period p: `history`
    (int32, the token p steps ago), `runs` and `needed` (int16). 512 bytes per slot.
    """

    def __init__(self, slots: int, arrays: ArrayLibrary) -> None:
        self._arrays = arrays
        self.history = arrays.zeros((slots, MAX_PERIOD), "int32")
        self.runs = arrays.zeros((slots, MAX_PERIOD), "int16")
        self.needed = arrays.zeros((slots, MAX_PERIOD), "int16")
        self.history[:] = NO_TOKEN
        self.needed[:] = NEVER

    def write(self, slots: Array, images: Sequence["LoopImage"]) -> None:
        """Set the state of each of `slots` (int64 ``[n]``) to its detector's image."""
        put = self._arrays.put
        self.history[slots] = put(np.stack([image.history for image in images]), "int32")
        self.runs[slots] = put(np.stack([image.runs for image in images]), "int16")
        self.needed[slots] = put(np.stack([image.needed for image in images]), "int16")

    def preview(self, slots: Array, token_ids: Array) -> "LoopUpdate":
        """Return the state after one more token per slot, without storing it.

        Args:
            slots: int64 ``[n]``; token_ids: int32 ``[n]``.
        """
        history = self.history[slots]
        token_ids = token_ids[:, None]
        # A run stops counting long before int16 ends: a loop closes the thought.
        longer = self.runs[slots].clip(max=NEVER - 2) + 1
        runs = longer * (history == token_ids)
        loops = (runs >= self.needed[slots]).any(1)
        return LoopUpdate(self._arrays.concatenate(token_ids, history[:, :-1]), runs, loops)

    def store(self, slots: Array, update: "LoopUpdate", keep: Array) -> None:
        """Store `update` where the thought goes on (`keep`, bool ``[n]``); else clear the slot."""
        keep = keep[:, None]
        self.history[slots] = self._arrays.where(keep, update.history, NO_TOKEN)
        self.runs[slots] = update.runs * keep


@dataclass(frozen=True, slots=True)
class LoopImage:
    """State of one detector, by period; int64 ``[MAX_PERIOD]`` each."""

    history: NDArray[np.int64]
    runs: NDArray[np.int64]
    needed: NDArray[np.int64]

    @classmethod
    def of(cls, detector: LoopDetector | None) -> "LoopImage":
        """Return the state of `detector`; for None, of a detector that never sees a loop."""
        history = np.full(MAX_PERIOD, NO_TOKEN, dtype=np.int64)
        runs = np.zeros(MAX_PERIOD, dtype=np.int64)
        needed = np.full(MAX_PERIOD, NEVER, dtype=np.int64)
        if detector is not None:
            guard = detector.guard
            for period in range(1, guard.max_period + 1):
                needed[period - 1] = min(guard.compute_min_run(period), NEVER)
            for period, token_id in enumerate(reversed(detector.history), 1):
                history[period - 1] = token_id
            for period, run in detector.runs.items():
                runs[period - 1] = min(run, NEVER - 1)
        return cls(history, runs, needed)


@dataclass(frozen=True, slots=True)
class LoopUpdate:
    """Loop state after one more token, and whether (bool ``[n]``) the thought now loops."""

    history: Array
    runs: Array
    loops: Array
