"""Data of a tracker: tables that all trackers of a model share, and one choice's state.

Does not know how the state changes: that is in ``thinking.tracker``.
"""

from dataclasses import dataclass

from thinking.markers.profile import MarkerProfile
from thinking.phase import Phase
from thinking.sequence_match import build_transition_table, number_symbols


class TrackerTables:
    """Tables that all trackers of a model share: marker automata and token classes."""

    def __init__(self, profile: MarkerProfile, boundary_token_ids: frozenset[int]) -> None:
        self.profile = profile
        self.boundary_token_ids = boundary_token_ids
        self.tool_call_token_ids = frozenset(profile.tool_call_token_ids)
        self.symbols = number_symbols((profile.start_token_ids, profile.end_token_ids))
        self.start_table = build_transition_table(profile.start_token_ids, self.symbols)
        self.end_table = build_transition_table(profile.end_token_ids, self.symbols)


@dataclass(slots=True)
class TrackerState:
    """State of a tracker, which the automaton holds as one row of int32."""

    phase: Phase
    cursor: int = 0  # next forced token of the script, where the phase forces
    num_hidden: int = 0
    num_answer: int = 0
    num_since: int = 0  # answer tokens since the last thought
    limit: int = 0  # `num_hidden` at which the running thought must be over
    num_segments_left: int = 0
    in_segment: bool = False  # the last thought began inside the answer
    start_match: int = 0  # leading tokens of the start marker matched at the end of the answer
    end_match: int = 0  # leading tokens of the end marker matched by the last tokens
    answer_begins: bool = False  # the next token is the first answer token after a thought
    at_boundary: bool = False  # a sentence or line of the thought has just ended
