"""Constrains the next token to what the automaton's state allows, by writing to the logits.

Never changes the state, except for the logits kept for mixing, so a step whose samples are
discarded may be repeated. Touches single columns of the logits; whole rows only if they use
mixing. No branch depends on data on the device. Does not know how the state changes.
"""

import torch

from thinking.phase import Phase
from thinking.plan import MAX_SCRIPT_TOKENS
from thinking.sampler.arrays import Array
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch
from thinking.sampler.gating import find_open_gates, narrow_on_cpu
from thinking.sampler.row_state import Field, Level

NEG_INF = float("-inf")
# Far above any other logit, and far from overflow, whatever a bias, a penalty or the
# temperature does to it afterwards: its softmax is exactly 1.
FORCED = 1e20


def constrain(automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch) -> None:
    """Constrain the next token, in place.

    Args:
        automaton: must have seen all sampled tokens.
        logits: float32 ``[batch, vocab]``; rows outside `batch` are not touched.
        batch: the rows with a plan.
    """
    tables, arrays = automaton.tables, automaton.arrays
    state = automaton.state[batch.slots]
    phase = state[:, Field.PHASE]
    forced = (phase != Phase.THINKING) & (phase != Phase.ANSWER)
    # Where nothing is forced, the cursor may be anywhere, even past the end of the script.
    cursor = state[:, Field.CURSOR].clip(max=MAX_SCRIPT_TOKENS - 1)
    token_ids = automaton.scripts[batch.slots, cursor]

    if batch.features.gated:
        opens = find_open_gates(automaton, logits, batch, state)
        if batch.mixes is not None:
            _mix(automaton, logits, batch, state, opens)
        token_ids = arrays.where(opens, tables.segment_signal_id, token_ids)
        forced = forced | opens
    if batch.exits is not None:
        exits = _find_early_exits(automaton, logits, batch, state)
        token_ids = arrays.where(exits, tables.exit_stand_in_id, token_ids)
        forced = forced | exits
    values = arrays.view(logits)
    _restrict(automaton, values, batch, state)
    values[batch.rows, token_ids] = arrays.where(forced, FORCED, values[batch.rows, token_ids])


def _restrict(automaton: ThinkingAutomaton, logits: Array, batch: Batch, state: Array) -> None:
    """Remove the tokens that the state forbids.

    In a thought, the exact probability of ends that may not be sampled is moved to the stand-in:
    always that of the stop tokens; below the minimum, also that of the token that would complete
    the end marker and of a tool call (always, if no call may end the thought). In an answer, no
    marker may be completed, no signal may be sampled, and the first token may not be a stop token.
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
        too_soon = state[:, Field.NUM_HIDDEN] < state[:, Field.MIN_TOKENS_BEFORE_CALL]
        moved = moved | (tables.tool_columns & too_soon[:, None])
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


def _find_early_exits(
    automaton: ThinkingAutomaton, logits: torch.Tensor, batch: Batch, state: Array
) -> Array:
    """Return where (bool ``[n]``) a thought at a boundary ends, as its end marker is probable.

    Only rows with this option pay for the softmax of their logits.
    """
    assert batch.exits is not None
    arrays = automaton.arrays
    enough = state[:, Field.NUM_HIDDEN] + 1 >= state[:, Field.MIN_TOKENS]
    thinking = state[:, Field.PHASE] == Phase.THINKING
    probing = thinking & enough & (state[:, Field.AT_BOUNDARY] == 1)
    positions = narrow_on_cpu(batch.exits, probing)
    rows = logits[arrays.tensor(batch.rows[positions])]
    end_logits = rows[:, automaton.tables.end_first]
    probabilities = (end_logits - torch.logsumexp(rows, dim=1)).exp()
    exits = arrays.zeros((batch.num_rows,), "bool")
    levels = automaton.levels[batch.slots[positions], Level.EXIT]
    exits[positions] = arrays.view(probabilities) > levels
    return exits & probing


def _mix(
    automaton: ThinkingAutomaton,
    logits: torch.Tensor,
    batch: Batch,
    state: Array,
    opens: Array,
) -> None:
    """Keep the logits where a segment begins; mix them in where one has just ended."""
    assert batch.mixes is not None
    tensor = automaton.arrays.tensor
    resumes = (state[:, Field.ANSWER_BEGINS] == 1) & (state[:, Field.IN_SEGMENT] == 1)
    positions = narrow_on_cpu(batch.mixes, opens | resumes)
    rows = tensor(batch.rows[positions])
    places = tensor(state[positions, Field.KEPT_ROW])
    weights = tensor(automaton.levels[batch.slots[positions], Level.MIX])
    now = logits[rows]
    automaton.kept.keep(places, now, tensor(opens[positions]))
    logits[rows] = automaton.kept.mix(places, now, weights, tensor(resumes[positions]))
