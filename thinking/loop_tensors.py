"""The loop guard of a whole batch: ``thinking.loop_guard`` over tensors.

A fixed amount of work a row and step, however long the thought: a window of the last
``MAX_PERIOD`` tokens and one run length a period.
"""

from dataclasses import dataclass

import torch

from thinking.loop_guard import MAX_PERIOD, LoopDetector, LoopGuard

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

    def load(self, slot: int, detector: LoopDetector | None) -> None:
        """Take over one detector's state; None: this slot never loops."""
        self.history[slot] = NO_TOKEN
        self.runs[slot] = 0
        self.needed[slot] = NEVER
        if detector is None:
            return
        self._load_needed(slot, detector.guard)
        for period, token_id in enumerate(reversed(detector.history), 1):
            self.history[slot, period - 1] = token_id
        for period, run in detector.runs.items():
            self.runs[slot, period - 1] = min(run, NEVER - 1)

    def _load_needed(self, slot: int, guard: LoopGuard) -> None:
        needed = [min(guard.run_needed(p), NEVER) for p in range(1, guard.max_period + 1)]
        self.needed[slot, : guard.max_period] = torch.tensor(needed, dtype=torch.int16)

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
class LoopLook:
    """State after one more token, and whether (bool ``[n]``) the thought then loops."""

    history: torch.Tensor
    runs: torch.Tensor
    loops: torch.Tensor
