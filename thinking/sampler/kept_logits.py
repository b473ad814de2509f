"""The logits from before a segment, kept until the answer resumes (for mixing).

Only rows that use mixing have a place, one row of float32 logits each. The pool holds at most
twice as many places as the batch has such rows (256 of them at a vocabulary of 150,000: 154
to 307 MB; usually none). Knows nothing of phases.
"""

import torch

from thinking.sampler.arrays import TorchArrays


class KeptLogits:
    """A pool of logits rows.

    Shapes: logits ``[places × rows_per_place, vocab_size]``, float32; filled ``[places ×
    rows_per_place]``, bool: whether logits are kept for that segment. Place 0 is unused. A place
    has one row, for the current segment; more only for the fused kernels under speculative
    decoding, which use :meth:`keep` and :meth:`mix` of their own.
    """

    def __init__(self, vocab_size: int, device: torch.device, rows_per_place: int = 1) -> None:
        self.rows_per_place = rows_per_place
        shape = (rows_per_place, vocab_size)
        self.logits = torch.zeros(shape, dtype=torch.float32, device=device)
        self.filled = torch.zeros(rows_per_place, dtype=torch.bool, device=device)
        self._arrays = TorchArrays(device)
        self._place_of_slot: dict[int, int] = {}
        self._emptied: list[int] = []

    def assign(self, slot: int, *, wanted: bool) -> int:
        """Return an empty place for the new request in `slot`; 0 if not `wanted`."""
        place = self._place_of_slot.pop(slot, 0)
        if not wanted:
            return 0
        if not place:
            taken = set(self._place_of_slot.values())
            place = next(n for n in range(1, len(taken) + 2) if n not in taken)
        self._place_of_slot[slot] = place
        self._emptied.append(place)
        return place

    def flush(self) -> None:
        """Make room for the places assigned since the last call, and empty them."""
        if not self._emptied:
            return
        places, needed = len(self.filled) // self.rows_per_place, max(self._emptied) + 1
        if needed > places:
            # Doubled, to copy rarely.
            missing = (max(needed, 2 * places) - places) * self.rows_per_place
            pad = torch.nn.functional.pad
            self.logits = pad(self.logits, (0, 0, 0, missing))
            self.filled = pad(self.filled, (0, missing))
        rows = range(self.rows_per_place)
        emptied = [place * len(rows) + row for place in self._emptied for row in rows]
        emptied = self._arrays.put(emptied, "int64")
        self.filled.index_fill_(0, emptied, False)
        self._emptied.clear()

    def keep(self, places: torch.Tensor, logits: torch.Tensor, opens: torch.Tensor) -> None:
        """Keep `logits` (``[n, vocab_size]``) where `opens` (bool ``[n]``)."""
        self.logits[places] = torch.where(opens[:, None], logits, self.logits[places])
        self.filled[places] = self.filled[places] | opens

    def mix(
        self,
        places: torch.Tensor,
        logits: torch.Tensor,
        weights: torch.Tensor,
        resumes: torch.Tensor,
    ) -> torch.Tensor:
        """Return `logits` interpolated with the kept ones where `resumes` (bool ``[n]``).

        `weights` (float32 ``[n]``) is the share of `logits`. Adding a constant to a row's logits
        does not change its distribution, so this is the interpolation of log-probabilities of
        Quiet-STaR (arXiv 2403.09629, section 4.4).
        """
        weights = weights[:, None]
        after = torch.where(weights > 0, weights * logits, 0.0)  # 0 × -inf would be NaN
        before = torch.where(weights < 1, (1 - weights) * self.logits[places], 0.0)
        mixes = resumes & self.filled[places]
        return torch.where(mixes[:, None], after + before, logits)
