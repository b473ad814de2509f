"""Marker automata and token classes of a model, as arrays that all rows share.

Holds the same data as ``thinking.tracker_state.TrackerTables``; built once per model and
device. Knows nothing of requests.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from thinking.sampler.answer_tail import TokenBytes
from thinking.sampler.arrays import Array, ArrayLibrary
from thinking.tracker_state import TrackerTables

BOUNDARY = 1
TOOL_CALL = 2


class AutomatonTables:
    """Arrays that all rows of one model share.

    `token_bytes` is the text of each token, for gates that wait for a string.

    `symbol_of_token` (int32) and `class_of_token` (uint8, bits ``BOUNDARY`` and
    ``TOOL_CALL``) have shape ``[vocab_size]``. `watched_token_ids` (int64 ``[k]``) are the
    tokens, other than a forced one, whose logits a state can change; the ``*_columns`` (bool
    ``[k]``) are masks over them, by meaning.
    """

    def __init__(
        self,
        tracker: TrackerTables,
        vocab_size: int,
        arrays: ArrayLibrary,
        token_bytes: Mapping[int, bytes] | None = None,
    ) -> None:
        profile = tracker.profile
        self.arrays = arrays
        self.token_bytes = TokenBytes(token_bytes or {}, vocab_size, arrays)
        self.tracker = tracker
        self.vocab_size = vocab_size
        self.start_length = len(profile.start_token_ids)
        self.end_length = len(profile.end_token_ids)
        self.end_first = profile.end_token_ids[0]
        self.eos_stand_in_id = profile.eos_stand_in_id
        self.exit_stand_in_id = profile.exit_stand_in_id
        self.segment_signal_id = profile.segment_signal_id
        self.has_tool_calls = bool(profile.tool_call_token_ids)
        self.num_symbols = len(tracker.symbols) + 1
        symbols = np.zeros(vocab_size)
        for token_id, symbol in tracker.symbols.items():
            symbols[token_id] = symbol
        self.symbol_of_token = arrays.put(symbols, "int32")
        classes = np.zeros(vocab_size, "uint8")
        for token_ids, bit in (
            (tracker.boundary_token_ids, BOUNDARY),
            (tracker.tool_call_token_ids, TOOL_CALL),
        ):
            classes[[t for t in token_ids if t < vocab_size]] |= bit
        self.class_of_token = arrays.put(classes, "uint8")
        self.start_table = arrays.put(np.ravel(tracker.start_table), "int32")
        self.end_table = arrays.put(np.ravel(tracker.end_table), "int32")
        self._set_watched_tokens()

    def _set_watched_tokens(self) -> None:
        profile = self.tracker.profile
        stops = [t for t in profile.stop_token_ids if t < self.vocab_size]
        ends = [profile.end_token_ids[-1]]
        starts = [profile.start_token_ids[-1]]
        tools = profile.tool_call_token_ids
        singles = (self.eos_stand_in_id, self.exit_stand_in_id, self.segment_signal_id)
        watched = list(dict.fromkeys((*stops, *ends, *starts, *tools, *singles)))

        def make_mask(token_ids: Iterable[int]) -> Array:
            wanted = set(token_ids)
            return self.arrays.put([token_id in wanted for token_id in watched], "bool")

        self.watched_token_ids = self.arrays.put(watched, "int64")
        self.stop_columns = make_mask(stops)
        self.end_columns = make_mask(ends)
        self.start_columns = make_mask(starts)
        self.tool_columns = make_mask(tools)
        self.eos_columns = make_mask([self.eos_stand_in_id])
        self.exit_columns = make_mask([self.exit_stand_in_id])
        self.signal_columns = make_mask([self.segment_signal_id])
