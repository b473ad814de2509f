"""The tracker: a choice's automaton in pure Python, fed with its output tokens.

Runs in the API process to tell thought from answer and to find why a thought ended, and in
the worker to rebuild a row's state from tokens that were generated earlier. It sees token
ids only: no logits, no text. ``thinking.sampler.transition`` is the same machine over
tensors; tests check that the two agree.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from thinking.command import CommandAction, ThoughtCommand
from thinking.earlier_thought import resume_thought
from thinking.loop_guard import LoopDetector
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan
from thinking.tracker_state import TrackerState, TrackerTables


class ThinkingTracker:
    """Replays a choice's output tokens under its plan, starting with the plan's prior tokens.

    `plan` is the plan as the commands so far have changed it.
    """

    def __init__(self, tables: TrackerTables, plan: ThinkingPlan) -> None:
        self.tables = tables
        self.plan = plan
        self.state = TrackerState(plan.initial_phase, limit=plan.opening_budget)
        self.loop = LoopDetector(plan.loop_guard) if plan.loop_guard else None
        self.num_injected = 0
        self.num_segments = int(plan.opens)
        self.stop_cause = StopCause.NONE
        if plan.segments is not None:
            self.state.num_segments_left = plan.segments.max_segments
        if plan.earlier_token_ids:
            resume_thought(plan, tables, self.state, self.loop)
        if self.state.phase is Phase.CLOSING:
            self.state.cursor = self._find_close_cursor()
            self.stop_cause = StopCause.BUDGET
        # Answer tokens among the plan's prior tokens.
        self.prior_answer_token_ids: list[int] = []
        self._segment_start = 0  # hidden tokens before the last thought inside the answer
        self._ended_by: StopCause | None = None  # why thinking is over, by a command
        self._num_words_left = 0  # tokens of the caller's words that have not been read
        self._replay(plan)

    @property
    def num_hidden(self) -> int:
        """Number of hidden tokens so far: ``reasoning_tokens``."""
        return self.state.num_hidden

    @property
    def num_answer(self) -> int:
        """Number of answer tokens so far."""
        return self.state.num_answer

    @property
    def num_marker_tokens_begun(self) -> int:
        """Number of last thought tokens that are, or may be, the beginning of an end marker."""
        if self.state.phase is Phase.THINKING:
            return self.state.end_match
        if self.state.phase is Phase.CLOSING:
            return max(0, self.state.cursor - self.plan.end_at)
        return 0

    @property
    def is_hidden(self) -> bool:
        """True if the next token is hidden, unless it opens a segment or a tool call."""
        return self.state.phase is not Phase.ANSWER

    @property
    def is_thinking(self) -> bool:
        """True if the model samples the next token freely, inside a thought."""
        return self.state.phase is Phase.THINKING

    @property
    def may_think(self) -> bool:
        """True if a thought runs and is not being closed, or another one may still begin."""
        return self.awaits_thought or self.state.num_segments_left > 0

    @property
    def awaits_thought(self) -> bool:
        """True if the running thought is not being closed: the model writes, or will write, it."""
        runs = self.state.phase in (Phase.OPENING, Phase.THINKING, Phase.CONTINUING)
        return runs and self._ended_by is None

    @property
    def is_at_beginning(self) -> bool:
        """True if the model is about to write the first token of the opening thought."""
        return self.is_thinking and self.state.num_hidden == self.plan.close_at

    @property
    def num_spare(self) -> int:
        """Number of tokens that the running thought still has room for, before its close."""
        if not self.awaits_thought:
            return 0
        num_forced = 0 if self.is_thinking else self._count_forced_tokens_left()
        return max(0, self._count_spare_tokens() - num_forced)

    @property
    def forced_token_id(self) -> int | None:
        """Token that the sampler forces next; None if the state alone forces none."""
        if self.state.phase in (Phase.OPENING, Phase.CLOSING, Phase.CONTINUING):
            return self.plan.script[self.state.cursor]
        return None

    @property
    def may_open_segment(self) -> bool:
        """True if a segment may begin with the next token, regardless of the gate."""
        now, plan = self.state, self.plan
        if plan.segments is None or now.phase is not Phase.ANSWER or not now.num_segments_left:
            return False
        rested = now.num_since >= plan.segments.gap or now.num_hidden + now.num_answer == 0
        return rested and self._count_segment_room() >= plan.segment_cost

    def advance(self, token_id: int) -> TokenKind:
        """Take the next output token and return its kind."""
        phase = self.state.phase
        if phase is Phase.ANSWER:
            if token_id == self.tables.profile.segment_signal_id and self.may_open_segment:
                return self._open_segment()
            return self._take_answer_token(token_id)
        if phase is Phase.THINKING:
            return self._take_thought_token(token_id)
        self.state.num_hidden += 1
        return self._take_forced_token()

    def copy(self) -> "ThinkingTracker":
        """Return a tracker in the same state, to try tokens on that may not be accepted."""
        other = copy(self)
        other.state = copy(self.state)
        other.loop = None if self.loop is None else self.loop.copy()
        return other

    def obey(self, command: ThoughtCommand) -> None:
        """Apply a command, whose place is here.

        The words of an ADD are the next tokens to be read; the thought must be running, and they
        must fit it (`num_spare`).
        """
        if command.action is CommandAction.END:
            self._end_thinking(command.cause)
        elif command.action is CommandAction.EXTEND:
            self._extend(command.num_tokens, command.num_reply_tokens)
        elif command.num_tokens and self.is_thinking:
            self._num_words_left = command.num_tokens
            self.state.phase = Phase.ADDING

    def _replay(self, plan: ThinkingPlan) -> None:
        """Read the prior tokens of `plan`, and apply its commands at their places."""
        begin = 0
        for command in plan.commands:
            self._read(plan.prior_token_ids[begin : command.after])
            self.obey(command)
            begin = command.after
        self._read(plan.prior_token_ids[begin:])

    def _read(self, token_ids: Sequence[int]) -> None:
        self.prior_answer_token_ids += [
            token_id for token_id in token_ids if self.advance(token_id) is TokenKind.ANSWER
        ]

    def _end_thinking(self, cause: StopCause) -> None:
        """Close the thought that is being written, if any, and allow no further thought.

        The close always fits the budget: a thought may continue only while it does. Where tokens
        are being forced, it follows the last of them.
        """
        state = self.state
        if state.phase is Phase.THINKING:
            self._close(self._find_close_cursor(), cause)
        elif state.phase in (Phase.OPENING, Phase.CONTINUING):
            self._ended_by = cause
            close_cost = self._close_stop - self.plan.close_at
            end = state.num_hidden + self._count_forced_tokens_left() + close_cost
            state.limit = min(state.limit, end)
        elif state.phase is Phase.ANSWER and state.num_segments_left and cause is StopCause.CALLER:
            self.stop_cause = cause
        state.num_segments_left = 0

    def _extend(self, num_tokens: int, num_reply_tokens: int) -> None:
        """Raise the budget, and with it the limit of a thought that is not being closed."""
        state = self.state
        self.plan = plan = replace(
            self.plan,
            budget=self.plan.budget + num_tokens,
            max_tokens=self.plan.max_tokens + num_reply_tokens,
        )
        if not self.awaits_thought:
            return
        if not state.in_segment or plan.segments is None:
            state.limit += num_tokens
            return
        start = self._segment_start
        rest_of_reply = plan.max_tokens - start - state.num_answer - 1
        room = min(plan.budget - start, rest_of_reply, plan.segments.segment_tokens)
        state.limit = max(state.limit, start + room)

    def _count_forced_tokens_left(self) -> int:
        """Count the tokens that are forced before the model thinks on."""
        cursor, plan = self.state.cursor, self.plan
        stops = (plan.close_at, plan.segment_at, len(plan.script))
        return min(stop for stop in stops if stop > cursor) - cursor

    def _take_answer_token(self, token_id: int) -> TokenKind:
        state = self.state
        symbol = self.tables.symbols.get(token_id, 0)
        state.num_answer += 1
        state.num_since += 1
        state.answer_begins = False
        state.start_match = self.tables.start_table[state.start_match][symbol]
        state.end_match = self.tables.end_table[state.end_match][symbol]
        if token_id in self.tables.tool_call_token_ids:
            state.num_segments_left = 0  # no thought is injected into tool arguments
        return TokenKind.ANSWER

    def _count_segment_room(self) -> int:
        """Count the hidden tokens that still fit if the answer gets one more token."""
        now, plan = self.state, self.plan
        rest_of_reply = plan.max_tokens - now.num_hidden - now.num_answer - 1
        return min(plan.budget - now.num_hidden, rest_of_reply)

    def _open_segment(self) -> TokenKind:
        state, plan = self.state, self.plan
        assert plan.segments is not None  # checked by `may_open_segment`
        room = min(self._count_segment_room(), plan.segments.segment_tokens)
        self._segment_start = state.num_hidden
        state.limit = state.num_hidden + room
        state.in_segment = True
        state.num_segments_left -= 1
        state.num_hidden += 1
        state.num_since = state.start_match = state.end_match = 0
        state.answer_begins = False
        state.cursor = plan.segment_at
        state.phase = Phase.THINKING if state.cursor == len(plan.script) else Phase.OPENING
        self.num_injected += 1
        self.num_segments += 1
        self.stop_cause = StopCause.NONE
        with_marker = self.tables.profile.signals_with_marker
        return TokenKind.MARKER if with_marker else TokenKind.SIGNAL

    def _take_thought_token(self, token_id: int) -> TokenKind:
        state, plan, profile = self.state, self.plan, self.tables.profile
        is_call = token_id in self.tables.tool_call_token_ids
        if is_call and state.num_hidden >= plan.min_tokens_before_call:
            self._close(self._close_stop, StopCause.NATURAL)
            return self._take_answer_token(token_id)
        state.num_hidden += 1
        symbol = self.tables.symbols.get(token_id, 0)
        state.end_match = self.tables.end_table[state.end_match][symbol]
        state.at_boundary = token_id in self.tables.boundary_token_ids
        loops = self.loop is not None and self.loop.push(token_id)
        too_soon = state.num_hidden < plan.min_tokens
        if state.end_match == len(profile.end_token_ids):
            self._close(plan.lead_at, StopCause.NATURAL)
            return TokenKind.MARKER
        if token_id == profile.exit_stand_in_id and plan.early_exit is not None:
            self._close(plan.close_at, StopCause.CONFIDENT)
            return TokenKind.SIGNAL
        is_eos = token_id == profile.eos_stand_in_id
        if is_eos and not too_soon:
            self._close(plan.close_at, StopCause.EOS)
        elif self._count_spare_tokens() <= 0:
            self._close(self._find_close_cursor(), StopCause.BUDGET)
        elif (is_eos or loops) and too_soon:
            self._continue()
        elif loops:
            self._close(self._find_close_cursor(), StopCause.LOOP)
        elif (
            state.at_boundary and not too_soon and self._count_spare_tokens() <= self._grace_tokens
        ):
            self._close(self._find_close_cursor(), StopCause.GRACE)
        return TokenKind.SIGNAL if is_eos else TokenKind.THOUGHT

    def _take_forced_token(self) -> TokenKind:
        state, plan = self.state, self.plan
        if state.phase is Phase.ADDING:
            return self._take_word()
        kind = self._classify_forced(state.cursor)
        self.num_injected += 1
        state.cursor += 1
        if state.phase is Phase.CLOSING:
            if state.cursor == self._close_stop:
                self._begin_answer()
        elif state.cursor in (plan.close_at, plan.segment_at, len(plan.script)):
            state.phase = Phase.THINKING
            if self._count_spare_tokens() <= 0:
                self._close(plan.close_at, StopCause.BUDGET)
        return kind

    def _take_word(self) -> TokenKind:
        """Take a token of the caller's words; after the last, the model thinks on if it may."""
        state = self.state
        self.num_injected += 1
        self._num_words_left -= 1
        if self.loop is not None:
            self.loop.clear()
        state.end_match = 0
        state.at_boundary = False
        if not self._num_words_left:
            state.phase = Phase.THINKING
            if self._count_spare_tokens() <= 0:
                self._close(self.plan.close_at, StopCause.BUDGET)
        return TokenKind.INJECTED

    def _classify_forced(self, cursor: int) -> TokenKind:
        """Return the kind of the forced token at `cursor`.

        Markers and the lead-in are never shown; primer, wrap-up and continuation are thought.
        """
        plan, profile = self.plan, self.tables.profile
        start = len(profile.start_token_ids)
        # If the prompt opened the thought, the script begins with the primer, else with the
        # start marker. The profile does not tell: where no template has opened a model's
        # thought, we do, whatever `profile.opening` is.
        opening = start if plan.script[:start] == profile.start_token_ids else 0
        in_start = cursor < min(opening, plan.close_at)
        in_end = plan.end_at <= cursor < plan.close_end
        segment_start = 0 if profile.signals_with_marker else start
        in_segment_start = plan.segment_at <= cursor < plan.segment_at + segment_start
        if in_start or in_end or in_segment_start:
            return TokenKind.MARKER
        return TokenKind.INJECTED

    @property
    def _close_stop(self) -> int:
        """Cursor at which a close ends: the lead-in follows the opening thought only."""
        return self.plan.lead_at if self.state.in_segment else self.plan.close_end

    @property
    def _grace_tokens(self) -> int:
        plan = self.plan
        if self.state.in_segment and plan.segments is not None:
            return plan.segments.grace_tokens
        return plan.grace_tokens

    def _count_spare_tokens(self) -> int:
        """Count the thought tokens that may follow before the close must be forced."""
        return self.state.limit - self.state.num_hidden - (self._close_stop - self.plan.close_at)

    def _find_close_cursor(self) -> int:
        """Return the cursor at which a forced close starts.

        An end marker that the model has begun is completed, not repeated.
        """
        if self.state.end_match:
            return self.plan.end_at + self.state.end_match
        return self.plan.close_at

    def _continue(self) -> None:
        """Replace an end that comes too soon by the continuation, if that fits the budget."""
        if self.loop is not None:
            self.loop.clear()
        self.state.at_boundary = False
        self.state.end_match = 0
        if 0 < self.plan.continuation_length <= self._count_spare_tokens():
            self.state.phase = Phase.CONTINUING
            self.state.cursor = self.plan.close_end

    def _close(self, cursor: int, cause: StopCause) -> None:
        if self.loop is not None:
            self.loop.clear()
        self.stop_cause = self._ended_by or cause
        self.state.phase = Phase.CLOSING
        self.state.cursor = cursor
        self.state.end_match = 0
        self.state.at_boundary = False
        if cursor == self._close_stop:
            self._begin_answer()

    def _begin_answer(self) -> None:
        self.state.phase = Phase.ANSWER
        self.state.cursor = 0
        self.state.num_since = 0
        self.state.start_match = 0
        self.state.end_match = 0
        self.state.answer_begins = True
