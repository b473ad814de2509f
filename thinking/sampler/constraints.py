"""What an automaton's state leaves of the next token: written into the logits.

Never changes the state, besides the logits that mixing keeps: a step whose samples are
thrown away may be done again. Touches single columns of the logits only, and whole rows
only where a row asks for mixing; no branch depends on data on the device.
"""

import torch

from thinking.phase import Phase
from thinking.plan import MAX_SCRIPT_TOKENS
from thinking.sampler.arrays import Array
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch
from thinking.sampler.gating import narrowed, open_gates
from thinking.sampler.row_state import Field, Level

NEG_INF = float("-inf")
# Far from any other logit, and from overflow, whatever a bias, a penalty or the temperature
# does to it afterwards: the softmax is exactly 1.
FORCED = 1e20


def constrain(automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch) -> None:
    """Constrain the next token, in place.

    Args:
        automaton: has seen all tokens that were sampled.
        logits: float32 ``[batch, vocab]``; rows outside `batch` are not touched.
        batch: the rows that have a plan.
    """
    tables, arrays = automaton.tables, automaton.arrays
    state = automaton.state[batch.slots]
    phase = state[:, Field.PHASE]
    forced = (phase != Phase.THINKING) & (phase != Phase.ANSWER)
    # Where nothing is forced the cursor may stand anywhere, also behind the script.
    cursor = state[:, Field.CURSOR].clip(max=MAX_SCRIPT_TOKENS - 1)
    token_ids = automaton.scripts[batch.slots, cursor]

    if batch.features.gated:
        opens = open_gates(automaton, logits, batch, state)
        if batch.mixes is not None:
            _mix(automaton, logits, batch, state, opens)
        token_ids = arrays.where(opens, tables.segment_signal_id, token_ids)
        forced = forced | opens
    if batch.exits is not None:
        leaves = _leaves_early(automaton, logits, batch, state)
        token_ids = arrays.where(leaves, tables.exit_stand_in_id, token_ids)
        forced = forced | leaves
    values = arrays.view(logits)
    _restrict(automaton, values, batch, state)
    values[batch.rows, token_ids] = arrays.where(forced, FORCED, values[batch.rows, token_ids])


def _restrict(automaton: ThinkingAutomaton, logits: Array, batch: Batch, state: Array) -> None:
    """Take away the tokens that a state forbids.

    In a thought the probability of ends that may not be sampled is moved to the stand-in,
    exactly: the stop tokens' always; while the thought must go on, also that of a tool
    call and of the token that would complete the end marker. In an answer no marker may
    become whole, no signal be given, and the first token not be an end.
    """
    tables, arrays = automaton.tables, automaton.arrays
    columns = (batch.rows[:, None], tables.watched_token_ids)
    values = logits[columns]
    phase = state[:, Field.PHASE]
    thinking = (phase == Phase.THINKING)[:, None]
    answering = (phase == Phase.ANSWER)[:, None]
    ends = (state[:, Field.END_MATCH] == tables.end_length - 1)[:, None]
    starts = (state[:, Field.START_MATCH] == tables.start_length - 1)[:, None]
    begins = (state[:, Field.ANSWER_BEGINS] == 1)[:, None]
    missing = state[:, Field.MIN_TOKENS] - state[:, Field.NUM_HIDDEN]

    moved = tables.stop_columns | (tables.end_columns & ends & (missing > 1)[:, None])
    if tables.has_tool_calls:
        moved = moved | (tables.tool_columns & (missing > 0)[:, None])
    moved = moved & thinking
    banned = (tables.end_columns & ends) | (tables.start_columns & starts)
    banned = (banned | (tables.stop_columns & begins)) & answering
    if batch.features.gated:
        gated = (state[:, Field.GATE_MODE] > 0)[:, None]
        banned = banned | (tables.signal_columns & gated & answering)
    if batch.exits is not None:
        signed = (state[:, Field.HAS_EXIT] == 1)[:, None]
        banned = banned | (tables.exit_columns & signed & thinking)
    sums = arrays.logsumexp(arrays.where(moved, values, NEG_INF))
    values = arrays.where(moved | banned, NEG_INF, values)
    logits[columns] = arrays.where(tables.eos_columns & thinking, sums, values)


def _leaves_early(
    automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch, state: Array
) -> Array:
    """Whether (bool ``[n]``) a thought, at a boundary, is signed off as the end marker has
    become probable. Only rows that ask pay for the softmax of their logits."""
    assert batch.exits is not None
    arrays = automaton.arrays
    enough = state[:, Field.NUM_HIDDEN] + 1 >= state[:, Field.MIN_TOKENS]
    thinking = state[:, Field.PHASE] == Phase.THINKING
    probing = thinking & enough & (state[:, Field.AT_BOUNDARY] == 1)
    positions = narrowed(batch.exits, probing)
    rows = logits[arrays.tensor(batch.rows[positions])]
    end_logits = rows[:, automaton.tables.end_first]
    probabilities = (end_logits - torch.logsumexp(rows, dim=1)).exp()
    leaves = arrays.zeros((batch.num_rows,), "bool")
    levels = automaton.levels[batch.slots[positions], Level.EXIT]
    leaves[positions] = arrays.view(probabilities) > levels
    return leaves & probing


def _mix(
    automaton: ThinkingAutomaton,
    logits: torch.Tensor,
    batch: Batch,
    state: Array,
    opens: Array,
) -> None:
    """Keep the logits where a segment begins; mix with them where one has just ended."""
    assert batch.mixes is not None
    tensor = automaton.arrays.tensor
    leaves = (state[:, Field.ANSWER_BEGINS] == 1) & (state[:, Field.IN_SEGMENT] == 1)
    positions = narrowed(batch.mixes, opens | leaves)
    rows = tensor(batch.rows[positions])
    places = tensor(state[positions, Field.KEPT_ROW])
    weights = tensor(automaton.levels[batch.slots[positions], Level.MIX])
    now = logits[rows]
    automaton.kept.keep(places, now, tensor(opens[positions]))
    logits[rows] = automaton.kept.mixed(places, now, weights, tensor(leaves[positions]))
