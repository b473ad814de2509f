"""Updates the state of a batch with one token per row: the tracker, over arrays.

A pure function of the token ids; logits are not read. Every row takes the same operations and
no branch depends on data, so the host never waits for the device. ``thinking.tracker`` is the
same machine for one row, and easier to follow.
"""

from dataclasses import dataclass

from thinking.phase import Phase
from thinking.sampler.arrays import Array, ArrayLibrary
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Features
from thinking.sampler.row_state import Field, RowState
from thinking.sampler.tables import BOUNDARY, TOOL_CALL, AutomatonTables


def advance(
    automaton: ThinkingAutomaton,
    slots: Array,
    token_ids: Array,
    features: Features,
) -> None:
    """Feed one sampled token to each slot.

    Args:
        automaton: holds the slots, which are updated.
        slots: distinct (except for the scratch slot), int64 ``[n]``.
        token_ids: their tokens, int32 ``[n]``, below the vocabulary size.
        features: what the slots' plans use; the rest is skipped.
    """
    rows = automaton.state[slots]
    loop = automaton.loop.preview(slots, token_ids) if features.guarded else None
    step = _Step(automaton.tables, rows.T, token_ids)
    step.follow_scripts(gated=features.gated)
    if features.gated:
        step.open_segments()
        step.apply_segment_limits()
    if automaton.tables.has_tool_calls:
        step.end_at_tool_calls()
    step.count_tokens()
    step.match_markers()
    ends = step.find_ends(None if loop is None else loop.loops)
    step.close_thoughts(ends)
    step.continue_thoughts(ends)
    step.begin_answers(ends)
    step.now.store(rows.T)
    automaton.state[slots] = rows
    if loop is not None:
        automaton.loop.store(slots, loop, step.thinking & ends.undisturbed)
    if features.listening:
        automaton.tails.push(slots, token_ids, step.answering)


@dataclass(slots=True)
class _Ends:
    """The thoughts that end with this token, by cause; masks are bool ``[n]``.

    `natural`, `by_stand_in`, `cut` and `held_open` exclude each other.
    """

    natural: Array  # the model has completed the end marker
    by_stand_in: Array  # a stand-in was sampled: for the end of the reply, or for an early exit
    cut: Array  # closed by us: budget, grace or loop
    held_open: Array  # an end below the minimum: the thought goes on
    closes: Array  # natural, by stand-in or cut
    undisturbed: Array  # neither closes nor is held open
    at_boundary: Array  # the token ends a sentence or line of a thought that may go on
    spare: Array  # int32: tokens that may still be thought before the close must be forced


class _Step:
    """The transition of n rows with one token each.

    `before` (int32 ``[len(Field), n]``) is the state before the token and is read for the plan's
    fields; `now` is the state as it changes. The masks `answering`, `thinking` and `closing`
    (bool ``[n]``) say what the token is to its row; `opened` is true where it is the last
    forced token before the model thinks. `close_stop` is the script position at which a close
    ends.
    """

    __slots__ = (
        "_arrays", "_classes", "_tables", "_token_ids", "answering", "before", "close_stop",
        "closing", "grace", "now", "opened", "thinking",
    )  # fmt: skip

    def __init__(self, tables: AutomatonTables, before: Array, token_ids: Array) -> None:
        self._tables, self._arrays, self._token_ids = tables, tables.arrays, token_ids
        self._classes = tables.class_of_token[token_ids]
        self.before = before
        self.now = RowState.load(before)
        phase = self.now.phase
        self.answering = phase == Phase.ANSWER
        self.thinking = phase == Phase.THINKING
        self.closing = phase == Phase.CLOSING
        self.close_stop = before[Field.CLOSE_END]
        self.grace = before[Field.GRACE]

    def follow_scripts(self, *, gated: bool) -> None:
        """Move past a forced token; after the last one of an opening, let the model think."""
        now, before = self.now, self.before
        forced = ~(self.answering | self.thinking)
        cursor = now.cursor + forced
        at_end = (cursor == before[Field.CLOSE_AT]) | (cursor == before[Field.SEGMENT_AT])
        if gated:
            at_end = at_end | (cursor == before[Field.SCRIPT_END])
        self.opened = forced & ~self.closing & at_end
        now.cursor = cursor
        now.phase = self._arrays.where(self.opened, int(Phase.THINKING), now.phase)

    def open_segments(self) -> None:
        """Begin a segment where the token is its signal."""
        now, before, where = self.now, self.before, self._arrays.where
        segment_at = before[Field.SEGMENT_AT]
        signal = self._token_ids == self._tables.segment_signal_id
        opens = may_open_segment(before, self._arrays) & signal
        room = compute_segment_room(before, self._arrays)
        room = self._arrays.minimum(room, before[Field.SEGMENT_TOKENS])
        now.limit = where(opens, now.num_hidden + room, now.limit)
        now.num_segments_left = now.num_segments_left - opens * 1
        now.in_segment = now.in_segment | opens
        now.cursor = where(opens, segment_at, now.cursor)
        now.phase = where(opens, int(Phase.OPENING), now.phase)
        opened = opens & (segment_at == before[Field.SCRIPT_END])
        now.phase = where(opened, int(Phase.THINKING), now.phase)
        self.answering = self.answering & ~opens

    def apply_segment_limits(self) -> None:
        """Use a segment's grace, and leave out the lead-in after it."""
        before, where = self.before, self._arrays.where
        in_segment = self.now.in_segment == 1
        self.close_stop = where(in_segment, before[Field.LEAD_AT], before[Field.CLOSE_END])
        self.grace = where(in_segment, before[Field.SEGMENT_GRACE], before[Field.GRACE])

    def end_at_tool_calls(self) -> None:
        """Begin the answer at a tool call, if the minimum is reached; allow no more segments."""
        now = self.now
        calls = (self._classes & TOOL_CALL) != 0
        reached = now.num_hidden >= self.before[Field.MIN_TOKENS_BEFORE_CALL]
        called = self.thinking & calls & reached
        self.thinking = self.thinking & ~called
        self.answering = self.answering | called
        now.phase = self._arrays.where(called, int(Phase.ANSWER), now.phase)
        now.cursor = now.cursor * ~called
        now.num_segments_left = now.num_segments_left * ~(self.answering & calls)

    def count_tokens(self) -> None:
        """Count the token as hidden or as part of the answer."""
        now, answering = self.now, self.answering
        now.num_hidden = now.num_hidden + ~answering
        now.num_answer = now.num_answer + answering
        now.num_since = (now.num_since + 1) * answering

    def match_markers(self) -> None:
        """Match the start marker in answers, and the end marker in answers and thoughts."""
        now, tables, answering = self.now, self._tables, self.answering
        symbol, width = tables.symbol_of_token[self._token_ids], tables.num_symbols
        now.start_match = tables.start_table[now.start_match * width + symbol] * answering
        matching = answering | self.thinking
        now.end_match = tables.end_table[now.end_match * width + symbol] * matching

    def find_ends(self, loops: Array | None) -> _Ends:
        """Decide which thoughts end, in the tracker's order of precedence.

        Args:
            loops: whether a thought repeats itself, bool ``[n]``; None: no row has a guard.
        """
        now, before, thinking = self.now, self.before, self.thinking
        too_soon = now.num_hidden < before[Field.MIN_TOKENS]
        natural, by_stand_in, wants_end = self._find_own_ends(too_soon)
        spare = now.limit - now.num_hidden - (self.close_stop - before[Field.CLOSE_AT])
        ended = natural | by_stand_in
        free = (thinking & ~ended) | self.opened  # may still end by another cause
        exhausted = free & (spare <= 0)
        free = free & ~exhausted
        held_open = free & too_soon & wants_end
        at_boundary = free & thinking & ((self._classes & BOUNDARY) != 0)
        cut = at_boundary & ~too_soon & (spare <= self.grace)
        if loops is not None:
            loops = free & thinking & loops
            held_open = held_open | (loops & too_soon)
            cut = cut | loops
        cut = exhausted | (cut & ~held_open)
        closes = ended | cut
        return _Ends(
            natural=natural,
            by_stand_in=by_stand_in,
            cut=cut,
            held_open=held_open,
            closes=closes,
            undisturbed=~(closes | held_open),
            at_boundary=at_boundary,
            spare=spare,
        )

    def _find_own_ends(self, too_soon: Array) -> tuple[Array, Array, Array]:
        """Return where (bool ``[n]``) the model ends a thought.

        The masks: by the end marker; by a stand-in; and where it samples the stand-in for the
        end of the reply, also if that is `too_soon` (bool ``[n]``) to end the thought.
        """
        tables, token_ids = self._tables, self._token_ids
        natural = self.thinking & (self.now.end_match == tables.end_length)
        undecided = self.thinking & ~natural
        exits = undecided & (token_ids == tables.exit_stand_in_id)
        exits = exits & (self.before[Field.HAS_EXIT] == 1)
        wants_end = undecided & (token_ids == tables.eos_stand_in_id)
        return natural, exits | (wants_end & ~too_soon), wants_end

    def close_thoughts(self, ends: _Ends) -> None:
        """Move to the script position from which each ending thought is closed."""
        now, before, where = self.now, self.before, self._arrays.where
        close_at = before[Field.CLOSE_AT]
        # A marker that the model has begun is completed, without the wrap-up.
        begun = where(now.end_match > 0, before[Field.END_AT] + now.end_match, close_at)
        cursor = where(ends.natural, before[Field.LEAD_AT], now.cursor)
        cursor = where(ends.by_stand_in, close_at, cursor)
        now.cursor = where(ends.cut, begun, cursor)
        now.phase = where(ends.closes, int(Phase.CLOSING), now.phase)
        now.end_match = now.end_match * ends.undisturbed
        now.at_boundary = ends.at_boundary & ends.undisturbed

    def continue_thoughts(self, ends: _Ends) -> None:
        """Force the continuation after an end below the minimum, where it fits the budget."""
        now, before, where = self.now, self.before, self._arrays.where
        close_end = before[Field.CLOSE_END]
        length = before[Field.SEGMENT_AT] - close_end
        continuing = ends.held_open & (length > 0) & (length <= ends.spare)
        now.cursor = where(continuing, close_end, now.cursor)
        now.phase = where(continuing, int(Phase.CONTINUING), now.phase)

    def begin_answers(self, ends: _Ends) -> None:
        """Begin the answer where a close has ended."""
        now = self.now
        ended = (self.closing | ends.closes) & (now.cursor == self.close_stop)
        now.phase = self._arrays.where(ended, int(Phase.ANSWER), now.phase)
        now.cursor = now.cursor * ~ended
        now.answer_begins = ended


def may_open_segment(columns: Array, arrays: ArrayLibrary) -> Array:
    """Return whether (bool ``[n]``) a segment may begin with the next token, gates aside.

    `columns` is state, int32 ``[len(Field), n]``.
    """
    num_hidden, num_answer = columns[Field.NUM_HIDDEN], columns[Field.NUM_ANSWER]
    rested = columns[Field.NUM_SINCE] >= columns[Field.GAP]
    rested = rested | (num_hidden + num_answer == 0)
    opening = columns[Field.SCRIPT_END] - columns[Field.SEGMENT_AT]
    cost = 2 + opening + columns[Field.LEAD_AT] - columns[Field.CLOSE_AT]
    answering = columns[Field.PHASE] == Phase.ANSWER
    left = columns[Field.NUM_SEGMENTS_LEFT] > 0
    return answering & left & rested & (compute_segment_room(columns, arrays) >= cost)


def compute_segment_room(columns: Array, arrays: ArrayLibrary) -> Array:
    """Return the number of hidden tokens (int32 ``[n]``) that still fit.

    One token of the reply is left for the answer. `columns` is state, int32
    ``[len(Field), n]``.
    """
    num_hidden = columns[Field.NUM_HIDDEN]
    rest_of_reply = columns[Field.MAX_TOKENS] - num_hidden - columns[Field.NUM_ANSWER] - 1
    return arrays.minimum(columns[Field.BUDGET] - num_hidden, rest_of_reply)
