"""The tracker: one choice's automaton, in pure Python, fed with its output tokens.

Runs in the API process to tell thought from answer and why a thought ended, and in the
worker to rebuild a row's state from tokens that were generated earlier. It sees token
ids only: no logits, no text. ``thinking.automaton`` is the same machine over tensors;
the tests hold the two equal.
"""

from dataclasses import dataclass

from thinking.loop_guard import LoopDetector
from thinking.markers import MarkerProfile
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan
from thinking.sequence_match import symbol_map, transition_table


class TrackerTables:
    """What every tracker of one model shares: marker automata and token classes."""

    def __init__(self, profile: MarkerProfile, boundary_token_ids: frozenset[int]) -> None:
        self.profile = profile
        self.boundary_token_ids = boundary_token_ids
        self.symbols = symbol_map((profile.start_token_ids, profile.end_token_ids))
        self.start_table = transition_table(profile.start_token_ids, self.symbols)
        self.end_table = transition_table(profile.end_token_ids, self.symbols)


@dataclass(slots=True)
class TrackerState:
    """The part of a tracker that the automaton holds as one row of int32."""

    phase: Phase
    cursor: int = 0  # next forced token of the script, where the phase forces
    num_hidden: int = 0
    start_match: int = 0  # tokens of the start marker just seen in the answer
    end_match: int = 0  # tokens of the end marker just seen
    answer_begins: bool = False  # the next token is the first answer token after a thought
    at_boundary: bool = False  # a sentence or line of the thought has just ended


class ThinkingTracker:
    """Replays one choice's output tokens under its plan."""

    def __init__(self, tables: TrackerTables, plan: ThinkingPlan) -> None:
        self.tables = tables
        self.plan = plan
        self.state = TrackerState(plan.initial_phase)
        self.loop = LoopDetector(plan.loop_guard) if plan.loop_guard else None
        self.num_injected = 0
        self.num_answer = 0
        self.num_segments = 1 if plan.thinks else 0
        self.stop_cause = StopCause.NONE
        if self.state.phase is Phase.CLOSING:
            self.state.cursor = plan.close_at
            self.stop_cause = StopCause.BUDGET

    @property
    def num_hidden(self) -> int:
        """Hidden tokens so far: ``reasoning_tokens``."""
        return self.state.num_hidden

    @property
    def num_marker_tokens_begun(self) -> int:
        """Thought tokens just taken that are, or may become, the head of an end marker."""
        if self.state.phase is Phase.THINKING:
            return self.state.end_match
        if self.state.phase is Phase.CLOSING:
            return max(0, self.state.cursor - self.plan.end_at)
        return 0

    @property
    def is_hidden(self) -> bool:
        """Whether the next token is hidden."""
        return self.state.phase is not Phase.ANSWER

    @property
    def forced_token_id(self) -> int | None:
        """The token that the sampler forces next, if it forces one."""
        if self.state.phase in (Phase.OPENING, Phase.CLOSING, Phase.CONTINUING):
            return self.plan.script[self.state.cursor]
        return None

    def advance(self, token_id: int) -> TokenKind:
        """Take the next output token and say what it is."""
        if self.state.phase is Phase.ANSWER:
            self._answer(token_id)
            return TokenKind.ANSWER
        self.state.num_hidden += 1
        if self.state.phase is Phase.THINKING:
            return self._think(token_id)
        return self._force()

    def _answer(self, token_id: int) -> None:
        symbol = self.tables.symbols.get(token_id, 0)
        self.num_answer += 1
        self.state.answer_begins = False
        self.state.start_match = self.tables.start_table[self.state.start_match][symbol]
        self.state.end_match = self.tables.end_table[self.state.end_match][symbol]

    def _think(self, token_id: int) -> TokenKind:
        state, plan, profile = self.state, self.plan, self.tables.profile
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
        elif self._spare_tokens() <= 0:
            self._close(self._close_cursor(), StopCause.BUDGET)
        elif (is_eos or loops) and too_soon:
            self._continue()
        elif loops:
            self._close(self._close_cursor(), StopCause.LOOP)
        elif state.at_boundary and not too_soon and self._spare_tokens() <= plan.grace_tokens:
            self._close(self._close_cursor(), StopCause.GRACE)
        return TokenKind.SIGNAL if is_eos else TokenKind.THOUGHT

    def _force(self) -> TokenKind:
        state, plan = self.state, self.plan
        kind = self._kind_of_forced(state.cursor)
        self.num_injected += 1
        state.cursor += 1
        if state.phase is Phase.CLOSING:
            if state.cursor == plan.close_end:
                self._begin_answer()
        elif state.cursor in (plan.close_at, len(plan.script)):
            state.phase = Phase.THINKING
            if self._spare_tokens() <= 0:
                self._close(plan.close_at, StopCause.BUDGET)
        return kind

    def _kind_of_forced(self, cursor: int) -> TokenKind:
        """Markers and lead-in are never shown; primer, wrap-up, continuation are thought."""
        plan = self.plan
        num_start = min(len(self.tables.profile.start_token_ids), plan.close_at)
        if cursor < num_start or plan.end_at <= cursor < plan.close_end:
            return TokenKind.MARKER
        return TokenKind.INJECTED

    def _spare_tokens(self) -> int:
        """Tokens that may still be thought before the close must be forced."""
        return self.plan.budget - self.state.num_hidden - self.plan.close_cost

    def _close_cursor(self) -> int:
        """Where a forced close starts: a marker that the model has begun is completed."""
        if self.state.end_match:
            return self.plan.end_at + self.state.end_match
        return self.plan.close_at

    def _continue(self) -> None:
        """Answer an end that comes too soon, where the continuation fits the budget."""
        if self.loop is not None:
            self.loop.clear()
        self.state.at_boundary = False
        self.state.end_match = 0
        if 0 < self.plan.continuation_length <= self._spare_tokens():
            self.state.phase = Phase.CONTINUING
            self.state.cursor = self.plan.close_end

    def _close(self, cursor: int, cause: StopCause) -> None:
        if self.loop is not None:
            self.loop.clear()
        self.stop_cause = cause
        self.state.phase = Phase.CLOSING
        self.state.cursor = cursor
        self.state.end_match = 0
        self.state.at_boundary = False
        if cursor == self.plan.close_end:
            self._begin_answer()

    def _begin_answer(self) -> None:
        self.state.phase = Phase.ANSWER
        self.state.cursor = 0
        self.state.start_match = 0
        self.state.end_match = 0
        self.state.answer_begins = True
