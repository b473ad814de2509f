"""A thought that goes on in a later reply: where it was cut, and the state that it goes on from.

The earlier tokens are at the end of the later prompt. They are not counted again; of the state,
only what depends on the last tokens is taken over: a marker that has begun, the end of a
sentence, and the loop guard's history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thinking.loop_guard import LoopDetector, LoopGuard
from thinking.markers.profile import MAX_MARKER_TOKENS
from thinking.plan import ThinkingPlan
from thinking.tracker_state import TrackerState, TrackerTables


@dataclass(frozen=True, slots=True)
class KeptThought:
    """Tokens of a thought up to its cut; the first `num_opening` were forced to open it."""

    token_ids: tuple[int, ...]
    num_opening: int = 0

    def then(self, later: "KeptThought") -> "KeptThought":
        """Return this thought with what was written when it went on."""
        return KeptThought(self.token_ids + later.token_ids, self.num_opening)

    def get_end(self, guard: LoopGuard | None) -> tuple[int, ...]:
        """Return the last tokens, as many as the state depends on."""
        longest = max(MAX_MARKER_TOKENS, 0 if guard is None else guard.longest_loop)
        return self.token_ids[self.num_opening :][-longest:]

    def count_marker_tokens_begun(self, end_token_ids: Sequence[int]) -> int:
        """Return how many tokens of the end marker the thought ends with."""
        most = min(len(end_token_ids) - 1, len(self.token_ids) - self.num_opening)
        for number in range(most, 0, -1):
            if self.token_ids[-number:] == tuple(end_token_ids[:number]):
                return number
        return 0


def resume_thought(
    plan: ThinkingPlan, tables: TrackerTables, state: TrackerState, loop: LoopDetector | None
) -> None:
    """Set `state` and `loop` to what `plan.earlier_token_ids` lead to.

    A loop that ended the thought is forgotten: else it would end it again at once.
    """
    if not plan.opens:
        state.answer_begins = True  # we closed the thought, in the prompt
        return
    for token_id in plan.earlier_token_ids:
        symbol = tables.symbols.get(token_id, 0)
        state.end_match = tables.end_table[state.end_match][symbol]
        if loop is not None and loop.push(token_id):
            loop.clear()
    state.at_boundary = plan.earlier_token_ids[-1] in tables.boundary_token_ids
