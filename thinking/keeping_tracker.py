"""A tracker that keeps the tokens of the opening thought, so that it can go on in a later reply.

A close that was forced (wrap-up, end marker, lead-in) is not kept: the thought goes on where the
model was cut. Used only where a client asks for it. Does not know how a thought is sealed.
"""

from thinking.earlier_thought import KeptThought
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

# The model ended the thought itself, so that there is nothing to go on with.
_OWN_ENDS = (StopCause.NATURAL, StopCause.EOS)
# Kinds of a thought's last token; a signal that closes it is not part of it.
_OF_THOUGHT = (TokenKind.THOUGHT, TokenKind.INJECTED)
_ENDED = (Phase.CLOSING, Phase.ANSWER)


class KeepingTracker(ThinkingTracker):
    """A :class:`ThinkingTracker` that keeps the opening thought."""

    def __init__(self, tables: TrackerTables, plan: ThinkingPlan) -> None:
        self._kept: list[int] = []
        self._num_opening = 0
        self._end: StopCause | None = None  # of the opening thought
        super().__init__(tables, plan)

    @property
    def cut_thought(self) -> KeptThought | None:
        """The opening thought, if it was cut or still runs; None: it ended itself, or is none."""
        phase = self.state.phase
        is_opening = phase is Phase.OPENING and not self.state.in_segment
        if not self.plan.opens or is_opening or self._find_end() in _OWN_ENDS:
            return None
        rest = () if phase is not Phase.CONTINUING or self.state.in_segment else self._get_rest()
        return KeptThought((*self._kept, *rest), self._num_opening)

    def advance(self, token_id: int) -> TokenKind:
        """See :meth:`ThinkingTracker.advance`."""
        phase = self.state.phase
        self._end = self._find_end()
        if self._end is not None:
            return super().advance(token_id)
        kind = super().advance(token_id)
        self._end = self._find_end()
        if self._end is None or kind in _OF_THOUGHT or phase is Phase.OPENING:
            self._kept.append(token_id)
            self._num_opening += phase is Phase.OPENING
        return kind

    def copy(self) -> "KeepingTracker":
        """See :meth:`ThinkingTracker.copy`."""
        other = super().copy()
        assert isinstance(other, KeepingTracker)
        other._kept = list(self._kept)
        return other

    def _find_end(self) -> StopCause | None:
        """Return why the opening thought ended; None while it runs."""
        if self._end is not None:
            return self._end
        return self.stop_cause if self.state.phase in _ENDED else None

    def _get_rest(self) -> tuple[int, ...]:
        """Return the tokens of a continuation that were not forced yet."""
        return self.plan.script[self.state.cursor : self.plan.segment_at]
