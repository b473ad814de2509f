"""The automaton: the tracker of every row of a batch at once, over tensors.

State is one int32 row a slot, so a step costs the same at thought length 100 and
100,000. Two calls a step: :meth:`ThinkingAutomaton.advance` takes the tokens that were
sampled, :meth:`ThinkingAutomaton.apply` writes the next step's constraints into the
logits. Which batch row sits in which slot is the sampler's business
(``thinking.sampler``); nothing here knows vLLM.
"""

from enum import IntEnum, auto

import torch

from thinking.phase import Phase
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan
from thinking.tracker import ThinkingTracker, TrackerTables

NEG_INF = float("-inf")


class Field(IntEnum):
    """Columns of the state matrix; the first six change, the rest are the row's plan."""

    PHASE = 0
    CURSOR = auto()
    NUM_HIDDEN = auto()
    START_MATCH = auto()
    END_MATCH = auto()
    ANSWER_BEGINS = auto()
    BUDGET = auto()
    GRACE = auto()
    CLOSE_AT = auto()
    END_AT = auto()
    LEAD_AT = auto()
    SCRIPT_LEN = auto()


NUM_CHANGING = Field.BUDGET


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
        self.eos_stand_in_id = profile.eos_stand_in_id
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))


class ThinkingAutomaton:
    """Slots of per-request state.

    Shapes: state ``[capacity, len(Field)]``, scripts ``[capacity, MAX_SCRIPT_TOKENS]``,
    both int32: 2.1 KB a slot.
    """

    def __init__(self, tables: AutomatonTables, capacity: int, device: torch.device) -> None:
        self.tables = tables
        self.state = torch.zeros((capacity, len(Field)), dtype=torch.int32, device=device)
        self.scripts = torch.zeros((capacity, MAX_SCRIPT_TOKENS), dtype=torch.int32, device=device)

    @property
    def capacity(self) -> int:
        """Number of slots."""
        return self.state.shape[0]

    def grow(self, capacity: int) -> None:
        """Add slots, keeping the state of those that exist."""
        extra = capacity - self.capacity
        self.state = torch.nn.functional.pad(self.state, (0, 0, 0, extra))
        self.scripts = torch.nn.functional.pad(self.scripts, (0, 0, 0, extra))

    def load(self, slot: int, plan: ThinkingPlan, output_token_ids: list[int]) -> None:
        """Start a slot; tokens generated earlier (a resumed request) are replayed."""
        tracker = ThinkingTracker(self.tables.tracker, plan)
        for token_id in output_token_ids:
            tracker.advance(token_id)
        now = tracker.state
        row = [
            now.phase,
            now.cursor,
            now.num_hidden,
            now.start_match,
            now.end_match,
            now.answer_begins,
            plan.budget,
            plan.grace_tokens,
            plan.close_at,
            plan.end_at,
            plan.lead_at,
            len(plan.script),
        ]
        self.state[slot] = torch.tensor(row, dtype=torch.int32)
        if plan.script:
            self.scripts[slot, : len(plan.script)] = torch.tensor(plan.script, dtype=torch.int32)

    def advance(self, slots: torch.Tensor, token_ids: torch.Tensor) -> None:
        """Take one sampled token a slot.

        Args:
            slots: distinct slots, int64 ``[n]``.
            token_ids: their tokens, int64 ``[n]``, below the vocabulary size.
        """
        tables = self.tables
        rows = self.state[slots]
        phase, cursor, num_hidden, start_match, end_match, _ = rows[:, :NUM_CHANGING].unbind(1)
        budget, grace, close_at, end_at, lead_at, length = rows[:, NUM_CHANGING:].unbind(1)

        answering = phase == Phase.ANSWER
        opening = phase == Phase.OPENING
        closing = phase == Phase.CLOSING
        thinking = phase == Phase.THINKING

        symbol = tables.symbol_of_token[token_ids]
        num_hidden = num_hidden + (~answering).int()
        cursor = cursor + (opening | closing).int()
        start_match = tables.start_table[start_match * tables.num_symbols + symbol] * answering
        end_match = tables.end_table[end_match * tables.num_symbols + symbol]
        end_match = end_match * (answering | thinking)

        natural = thinking & (end_match == tables.end_length)
        eos = thinking & ~natural & (token_ids == tables.eos_stand_in_id)
        opened = opening & (cursor == close_at)
        going_on = (thinking & ~natural & ~eos) | opened
        spare = budget - num_hidden - (length - close_at)
        at_boundary = (spare <= grace) & tables.is_boundary[token_ids] & ~opened
        enforced = going_on & ((spare <= 0) | at_boundary)

        # A marker that the model has begun is completed, without the wrap-up.
        begun = torch.where(end_match > 0, end_at + end_match, close_at)
        cursor = torch.where(natural, lead_at, cursor)
        cursor = torch.where(eos, close_at, cursor)
        cursor = torch.where(enforced, begun, cursor)
        closing = closing | natural | eos | enforced
        ended = closing & (cursor == length)

        phase = torch.where(going_on, int(Phase.THINKING), phase)
        phase = torch.where(closing, int(Phase.CLOSING), phase)
        phase = torch.where(ended, int(Phase.ANSWER), phase)
        changed = (phase, cursor * ~ended, num_hidden, start_match, end_match * ~closing, ended)
        rows[:, :NUM_CHANGING] = torch.stack([column.int() for column in changed], dim=1)
        self.state[slots] = rows

    def apply(self, logits: torch.Tensor, rows: torch.Tensor, slots: torch.Tensor) -> None:
        """Constrain the next token, in place.

        Args:
            logits: float ``[batch, vocab]``.
            rows: rows of `logits`, int64 ``[n]``.
            slots: their slots, int64 ``[n]``.
        """
        state = self.state[slots, :NUM_CHANGING]
        phase = state[:, Field.PHASE]
        forced = (phase == Phase.OPENING) | (phase == Phase.CLOSING)
        self._force(logits, rows[forced], slots[forced], state[forced, Field.CURSOR])
        self._stand_in(logits, rows[phase == Phase.THINKING])
        self._keep_answer_clean(logits, rows, state, phase == Phase.ANSWER)

    def _force(
        self, logits: torch.Tensor, rows: torch.Tensor, slots: torch.Tensor, cursor: torch.Tensor
    ) -> None:
        if rows.numel() == 0:
            return
        token_ids = self.scripts[slots, cursor].long()
        logits[rows] = NEG_INF
        logits[rows, token_ids] = 0.0

    def _stand_in(self, logits: torch.Tensor, rows: torch.Tensor) -> None:
        """Move the stop tokens' probability to the stand-in, exactly."""
        if rows.numel() == 0:
            return
        stop = self.tables.stop_token_ids
        stop_logits = logits[rows[:, None], stop]
        logits[rows, self.tables.eos_stand_in_id] = torch.logsumexp(stop_logits, dim=1)
        logits[rows[:, None], stop] = NEG_INF

    def _keep_answer_clean(
        self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor, answering: torch.Tensor
    ) -> None:
        """No whole marker in an answer, and no end before its first token."""
        tables = self.tables
        start = answering & (state[:, Field.START_MATCH] == tables.start_length - 1)
        end = answering & (state[:, Field.END_MATCH] == tables.end_length - 1)
        begins = answering & (state[:, Field.ANSWER_BEGINS] == 1)
        logits[rows[start], tables.start_last] = NEG_INF
        logits[rows[end], tables.end_last] = NEG_INF
        logits[rows[begins][:, None], tables.stop_token_ids] = NEG_INF
