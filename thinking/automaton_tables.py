"""What all rows of a batch share: marker automata and token classes, as tensors.

``thinking.tracker.TrackerTables`` in another form; made once a model and device.
"""

from collections.abc import Iterable, Mapping

import torch

from thinking.answer_tail import TokenBytes
from thinking.tracker import TrackerTables

BOUNDARY = 1
TOOL_CALL = 2


class AutomatonTables:
    """What all rows of one model share, as tensors on `device`.

    `token_bytes` is the text of each token, for gates that wait for a string.

    `symbol_of_token` (int32) and `class_of_token` (uint8, bits ``BOUNDARY`` and
    ``TOOL_CALL``) have shape ``[vocab_size]``. `watched_token_ids` (int64 ``[k]``) are all
    tokens whose logits a state can change besides a forced one; the ``*_columns`` (bool
    ``[k]``) say which of them have which meaning.
    """

    def __init__(
        self,
        tracker: TrackerTables,
        vocab_size: int,
        device: torch.device,
        token_bytes: Mapping[int, bytes] | None = None,
    ) -> None:
        profile = tracker.profile
        self.token_bytes = TokenBytes(token_bytes or {}, vocab_size, device)
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
        self.symbol_of_token = torch.zeros(vocab_size, dtype=torch.int32)
        for token_id, symbol in tracker.symbols.items():
            self.symbol_of_token[token_id] = symbol
        self.class_of_token = torch.zeros(vocab_size, dtype=torch.uint8)
        for token_ids, bit in (
            (tracker.boundary_token_ids, BOUNDARY),
            (tracker.tool_call_token_ids, TOOL_CALL),
        ):
            self.class_of_token[[t for t in token_ids if t < vocab_size]] |= bit
        self.start_table = torch.tensor(tracker.start_table, dtype=torch.int32).flatten()
        self.end_table = torch.tensor(tracker.end_table, dtype=torch.int32).flatten()
        self._watch(vocab_size)
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))

    def _watch(self, vocab_size: int) -> None:
        profile = self.tracker.profile
        stops = [t for t in profile.stop_token_ids if t < vocab_size]
        ends = [profile.end_token_ids[-1]]
        starts = [profile.start_token_ids[-1]]
        tools = profile.tool_call_token_ids
        singles = (self.eos_stand_in_id, self.exit_stand_in_id, self.segment_signal_id)
        watched = list(dict.fromkeys((*stops, *ends, *starts, *tools, *singles)))

        def columns(token_ids: Iterable[int]) -> torch.Tensor:
            wanted = set(token_ids)
            return torch.tensor([token_id in wanted for token_id in watched])

        self.watched_token_ids = torch.tensor(watched, dtype=torch.int64)
        self.stop_columns = columns(stops)
        self.end_columns = columns(ends)
        self.start_columns = columns(starts)
        self.tool_columns = columns(tools)
        self.eos_columns = columns([self.eos_stand_in_id])
        self.exit_columns = columns([self.exit_stand_in_id])
        self.signal_columns = columns([self.segment_signal_id])
