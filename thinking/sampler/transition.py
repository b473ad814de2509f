"""How a batch's state changes with one token a row: the tracker, over arrays.

Pure in the token ids: logits are not seen. Does the same for every row, without a branch
on data, so that nothing waits for the device. ``thinking.tracker`` is the same machine for
one row, in words that are easier to follow.
"""

from thinking.phase import Phase
from thinking.sampler.arrays import Array, ArrayLibrary
from thinking.sampler.automaton import Field, ThinkingAutomaton
from thinking.sampler.batch import Features
from thinking.sampler.tables import BOUNDARY, TOOL_CALL


def advance(
    automaton: ThinkingAutomaton,
    slots: Array,
    token_ids: Array,
    features: Features,
) -> None:
    """Take one sampled token a slot.

    Args:
        automaton: its slots are written back.
        slots: distinct slots (besides the scratch slot), int64 ``[n]``.
        token_ids: their tokens, int32 ``[n]``, below the vocabulary size.
        features: what the slots' plans ask for; what nobody asks for is not looked at.
    """
    tables, arrays = automaton.tables, automaton.arrays
    where = arrays.where
    rows = automaton.state[slots]
    plan = columns = rows.T
    phase, cursor, num_hidden, num_answer, num_since, limit = columns[:6]
    num_left, in_segment, start_match, end_match = columns[6:10]
    close_at, end_at, lead_at = plan[Field.CLOSE_AT], plan[Field.END_AT], plan[Field.LEAD_AT]
    close_end, segment_at = plan[Field.CLOSE_END], plan[Field.SEGMENT_AT]
    min_tokens, grace = plan[Field.MIN_TOKENS], plan[Field.GRACE]
    classes = tables.class_of_token[token_ids]

    answering = phase == Phase.ANSWER
    thinking = phase == Phase.THINKING
    closing = phase == Phase.CLOSING
    forced = ~(answering | thinking)
    cursor = cursor + forced
    opened = forced & ~closing & ((cursor == close_at) | (cursor == segment_at))

    # Thoughts that start in the answer, and tool calls that end one.
    if features.gated:
        script_end = plan[Field.SCRIPT_END]
        opened = opened | (forced & ~closing & (cursor == script_end))
        opens = may_open_segment(rows, arrays) & (token_ids == tables.segment_signal_id)
        room = arrays.minimum(segment_room(rows, arrays), plan[Field.SEGMENT_TOKENS])
        limit = where(opens, num_hidden + room, limit)
        num_left = num_left - opens * 1
        in_segment = in_segment | opens
        cursor = where(opens, segment_at, cursor)
        opens_free = opens & (segment_at == script_end)
        answering = answering & ~opens
        close_stop = where(in_segment == 1, lead_at, close_end)
        grace = where(in_segment == 1, plan[Field.SEGMENT_GRACE], grace)
    else:
        close_stop = close_end
    called = None
    if tables.has_tool_calls:
        calls = (classes & TOOL_CALL) != 0
        called = thinking & calls & (num_hidden >= min_tokens)
        thinking = thinking & ~called
        answering = answering | called
        num_left = num_left * ~(answering & calls)

    symbol = tables.symbol_of_token[token_ids]
    num_hidden = num_hidden + ~answering
    num_answer = num_answer + answering
    num_since = (num_since + 1) * answering
    start_match = tables.start_table[start_match * tables.num_symbols + symbol] * answering
    matching = answering | thinking
    end_match = tables.end_table[end_match * tables.num_symbols + symbol] * matching

    # What the token says, in the tracker's order of precedence.
    too_soon = num_hidden < min_tokens
    natural = thinking & (end_match == tables.end_length)
    signed = thinking & ~natural & (token_ids == tables.exit_stand_in_id)
    signed = signed & (plan[Field.HAS_EXIT] == 1)
    wants_end = thinking & ~natural & (token_ids == tables.eos_stand_in_id)
    signed = signed | (wants_end & ~too_soon)
    free = (thinking & ~natural & ~signed) | opened
    spare = limit - num_hidden - (close_stop - close_at)
    exhausted = free & (spare <= 0)
    free = free & ~exhausted
    held_open = free & too_soon & wants_end
    boundary = free & thinking & ((classes & BOUNDARY) != 0)
    cut = boundary & ~too_soon & (spare <= grace)
    if features.guarded:
        look = automaton.loop.look(slots, token_ids)
        loops = free & thinking & look.loops
        held_open = held_open | (loops & too_soon)
        cut = cut | loops
    cut = exhausted | (cut & ~held_open)

    # A marker that the model has begun is completed, without the wrap-up.
    begun = where(end_match > 0, end_at + end_match, close_at)
    cursor = where(natural, lead_at, cursor)
    cursor = where(signed, close_at, cursor)
    cursor = where(cut, begun, cursor)
    length = segment_at - close_end
    continuing = held_open & (length > 0) & (length <= spare)
    cursor = where(continuing, close_end, cursor)
    left = natural | signed | cut
    ended = (closing | left) & (cursor == close_stop)

    phase = where(free | opened, int(Phase.THINKING), phase)
    phase = where(continuing, int(Phase.CONTINUING), phase)
    phase = where(left, int(Phase.CLOSING), phase)
    phase = where(ended, int(Phase.ANSWER), phase)
    if features.gated:
        phase = where(opens, int(Phase.OPENING), phase)
        phase = where(opens_free, int(Phase.THINKING), phase)
    if called is not None:
        phase = where(called, int(Phase.ANSWER), phase)
        cursor = cursor * ~called
    stays = ~(left | held_open)
    changed = (
        phase,
        cursor * ~ended,
        num_hidden,
        num_answer,
        num_since,
        limit,
        num_left,
        in_segment,
        start_match,
        end_match * stays,
        ended,
        boundary & stays,
    )
    for column, values in zip(columns, changed, strict=False):
        column[:] = values
    automaton.state[slots] = rows
    if features.guarded:
        automaton.loop.store(slots, look, thinking & stays)
    if features.listening:
        automaton.tails.push(slots, token_ids, answering)


def may_open_segment(rows: Array, arrays: ArrayLibrary) -> Array:
    """Whether (bool ``[n]``) a segment may begin with the next token; no gate is asked.

    `rows` is state, int32 ``[n, len(Field)]``.
    """
    columns = rows.T
    num_hidden, num_answer = columns[Field.NUM_HIDDEN], columns[Field.NUM_ANSWER]
    rested = columns[Field.NUM_SINCE] >= columns[Field.GAP]
    rested = rested | (num_hidden + num_answer == 0)
    opening = columns[Field.SCRIPT_END] - columns[Field.SEGMENT_AT]
    cost = 2 + opening + columns[Field.LEAD_AT] - columns[Field.CLOSE_AT]
    answering = columns[Field.PHASE] == Phase.ANSWER
    left = columns[Field.NUM_SEGMENTS_LEFT] > 0
    return answering & left & rested & (segment_room(rows, arrays) >= cost)


def segment_room(rows: Array, arrays: ArrayLibrary) -> Array:
    """Hidden tokens (int32 ``[n]``) that still fit, with one answer token after them."""
    columns = rows.T
    num_hidden = columns[Field.NUM_HIDDEN]
    rest_of_reply = columns[Field.MAX_TOKENS] - num_hidden - columns[Field.NUM_ANSWER] - 1
    return arrays.minimum(columns[Field.BUDGET] - num_hidden, rest_of_reply)
