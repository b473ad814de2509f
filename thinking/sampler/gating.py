"""Decides which gates open: whether a thought begins now, inside the answer (law 7).

Reads the state and the model's own logits. Does not know what an open gate does; see
``thinking.sampler.constraints``.
"""

import numpy as np
import torch

from thinking.gate import GateMode
from thinking.sampler.arrays import Array
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch
from thinking.sampler.row_state import Field, Level
from thinking.sampler.transition import may_open_segment

NEGLIGIBLE = -1e4  # a logit this far below the largest has probability 0; -inf would give NaN


def find_open_gates(
    automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch, state: Array
) -> Array:
    """Return whether (bool ``[n]``) each row of `batch` begins a segment with its next token.

    Args:
        automaton: holds the thresholds and answer tails.
        logits: the model's own, float ``[batch, vocab]``.
        batch: n rows.
        state: of these rows, int32 ``[n, len(Field)]``.
    """
    may_open = may_open_segment(state.T, automaton.arrays)
    mode, num_since = state[:, Field.GATE_MODE], state[:, Field.NUM_SINCE]
    opens = (mode == GateMode.EVERY) & (num_since >= state[:, Field.INTERVAL])
    if batch.features.listening:
        heard = automaton.tails.ends_with_string(batch.slots)
        # The same end of the answer opens a gate only once.
        opens = opens | ((mode == GateMode.AFTER) & (num_since > 0) & heard)
    if batch.entropies is not None:
        positions = narrow_on_cpu(batch.entropies, may_open)
        rows = automaton.arrays.tensor(batch.rows[positions])
        levels = automaton.levels[batch.slots[positions], Level.ENTROPY]
        values = entropy_of_rows(logits, rows)
        opens[positions] = automaton.arrays.view(values) > levels
    return may_open & opens


def narrow_on_cpu(positions: Array, wanted: Array) -> Array:
    """Return those of `positions` that are `wanted` on the CPU, all of them on a GPU.

    On the CPU, each row left out saves a pass over the vocabulary. On a GPU, the host would
    have to wait to learn how many are left.
    """
    return positions[wanted[positions]] if isinstance(positions, np.ndarray) else positions


def entropy_of_rows(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the Shannon entropy in nats, ``[k]``, of the `rows` (int64 ``[k]``) of `logits`.

    On the CPU, rows are processed one by one and in place: each stays in the cache, which is
    several times faster than one operation over all of them.
    """
    if logits.device.type != "cpu" or not len(rows):
        return entropy(logits[rows])
    return torch.cat([entropy(logits[row : row + 1]) for row in rows.tolist()])


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return the Shannon entropy in nats, ``[n]``, of each row of `logits`, ``[n, vocab]``."""
    below = (logits - logits.amax(dim=1, keepdim=True)).clamp_(min=NEGLIGIBLE)
    weights = below.exp()
    total = weights.sum(dim=1)
    return torch.log(total) - torch.sum(weights.mul_(below), dim=1) / total
