"""What all rows of a batch share: marker automata and token classes, as tensors.

``thinking.tracker.TrackerTables`` in another form; made once a model and device.
"""

import torch

from thinking.tracker import TrackerTables


class AutomatonTables:
    """What all rows of one model share, as tensors on `device`.

    `symbol_of_token` and `is_boundary` have one entry per token of the vocabulary
    (int32 and bool, shape ``[vocab_size]``).
    """

    def __init__(self, tracker: TrackerTables, vocab_size: int, device: torch.device) -> None:
        profile = tracker.profile
        self.tracker = tracker
        self.start_length = len(profile.start_token_ids)
        self.end_length = len(profile.end_token_ids)
        self.num_symbols = len(tracker.symbols) + 1
        self.symbol_of_token = torch.zeros(vocab_size, dtype=torch.int32)
        for token_id, symbol in tracker.symbols.items():
            self.symbol_of_token[token_id] = symbol
        self.is_boundary = torch.zeros(vocab_size, dtype=torch.bool)
        boundaries = [t for t in tracker.boundary_token_ids if t < vocab_size]
        self.is_boundary[boundaries] = True
        self.start_table = torch.tensor(tracker.start_table, dtype=torch.int32).flatten()
        self.end_table = torch.tensor(tracker.end_table, dtype=torch.int32).flatten()
        self.stop_token_ids = torch.tensor(profile.stop_token_ids, dtype=torch.int64)
        self.start_last = profile.start_token_ids[-1]
        self.end_last = profile.end_token_ids[-1]
        self.end_first = profile.end_token_ids[0]
        self.eos_stand_in_id = profile.eos_stand_in_id
        self.exit_stand_in_id = profile.exit_stand_in_id
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))
