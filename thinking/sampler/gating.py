"""Which gates open: whether a thought begins now, inside the answer (law 7).

Reads state and the model's own logits. What an open gate does is for
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

NEGLIGIBLE = -1e4  # a logit so far below the best has no probability; -inf would give NaN


def open_gates(
    automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch, state: Array
) -> Array:
    """Whether (bool ``[n]``) each row of `batch` begins a segment with its next token.

    Args:
        automaton: for thresholds and answer tails.
        logits: the model's own, float ``[batch, vocab]``.
        batch: n rows.
        state: theirs, int32 ``[n, len(Field)]``.
    """
    may_open = may_open_segment(state.T, automaton.arrays)
    mode, num_since = state[:, Field.GATE_MODE], state[:, Field.NUM_SINCE]
    opens = (mode == GateMode.EVERY) & (num_since >= state[:, Field.INTERVAL])
    if batch.features.listening:
        heard = automaton.tails.ends_with_string(batch.slots)
        # The same end of the answer opens once.
        opens = opens | ((mode == GateMode.AFTER) & (num_since > 0) & heard)
    if batch.entropies is not None:
        positions = narrowed(batch.entropies, may_open)
        rows = automaton.arrays.tensor(batch.rows[positions])
        levels = automaton.levels[batch.slots[positions], Level.ENTROPY]
        values = entropy_of_rows(logits, rows)
        opens[positions] = automaton.arrays.view(values) > levels
    return may_open & opens


def narrowed(positions: Array, wanted: Array) -> Array:
    """Those of `positions` that are `wanted`, where knowing them costs no waiting.

    On the CPU, leaving rows out saves a pass over the vocabulary for each; a GPU would
    have to be waited for to know how many are left, and makes the pass for all.
    """
    return positions[wanted[positions]] if isinstance(positions, np.ndarray) else positions


def entropy_of_rows(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in nats, ``[k]``, of the `rows` (int64 ``[k]``) of `logits`.

    On the CPU one by one and where they are: a row then stays in the cache, which makes
    it several times faster than all of them in one operation.
    """
    if logits.device.type != "cpu" or not len(rows):
        return entropy(logits[rows])
    return torch.cat([entropy(logits[row : row + 1]) for row in rows.tolist()])


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in nats, ``[n]``, of the distributions of `logits` (float ``[n, vocab]``)."""
    below = (logits - logits.amax(dim=1, keepdim=True)).clamp_(min=NEGLIGIBLE)
    weights = below.exp()
    total = weights.sum(dim=1)
    return torch.log(total) - torch.sum(weights.mul_(below), dim=1) / total
