"""The automaton: the tracker of every row of a batch at once, over tensors.

State is one int32 row a slot, so a step costs the same at thought length 100 and
100,000. Two calls a step: :meth:`ThinkingAutomaton.advance` takes the tokens that were
sampled, :meth:`ThinkingAutomaton.apply` writes the next step's constraints into the
logits. Which batch row sits in which slot is the sampler's business
(``thinking.sampler``); nothing here knows vLLM.
"""

from enum import IntEnum, auto

import torch

from thinking.loop_tensors import LoopTensors
from thinking.phase import Phase
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan
from thinking.tracker import ThinkingTracker, TrackerTables

NEG_INF = float("-inf")


class Field(IntEnum):
    """Columns of the state matrix; the first seven change, the rest are the row's plan."""

    PHASE = 0
    CURSOR = auto()
    NUM_HIDDEN = auto()
    START_MATCH = auto()
    END_MATCH = auto()
    ANSWER_BEGINS = auto()
    AT_BOUNDARY = auto()
    BUDGET = auto()
    GRACE = auto()
    MIN_TOKENS = auto()
    HAS_EXIT = auto()
    CLOSE_AT = auto()
    END_AT = auto()
    LEAD_AT = auto()
    CLOSE_END = auto()
    SCRIPT_END = auto()


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
        self.end_first = profile.end_token_ids[0]
        self.eos_stand_in_id = profile.eos_stand_in_id
        self.exit_stand_in_id = profile.exit_stand_in_id
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))


class ThinkingAutomaton:
    """Slots of per-request state.

    Shapes: state ``[capacity, len(Field)]`` and scripts ``[capacity, MAX_SCRIPT_TOKENS]``,
    int32; exits ``[capacity]``, float32. With the loop guard's tensors 2.7 KB a slot.
    """

    def __init__(self, tables: AutomatonTables, capacity: int, device: torch.device) -> None:
        self.tables = tables
        self.state = torch.zeros((capacity, len(Field)), dtype=torch.int32, device=device)
        self.scripts = torch.zeros((capacity, MAX_SCRIPT_TOKENS), dtype=torch.int32, device=device)
        self.exits = torch.ones(capacity, dtype=torch.float32, device=device)
        self.loop = LoopTensors(capacity, device)

    @property
    def capacity(self) -> int:
        """Number of slots."""
        return self.state.shape[0]

    def grow(self, capacity: int) -> None:
        """Add slots, keeping the state of those that exist."""
        extra = capacity - self.capacity
        pad = torch.nn.functional.pad
        self.state = pad(self.state, (0, 0, 0, extra))
        self.scripts = pad(self.scripts, (0, 0, 0, extra))
        self.exits = pad(self.exits, (0, extra), value=1.0)
        self.loop.grow(extra)

    def load(self, slot: int, plan: ThinkingPlan, output_token_ids: list[int]) -> None:
        """Start a slot; tokens generated earlier (a resumed request) are replayed."""
        tracker = ThinkingTracker(self.tables.tracker, plan)
        for token_id in output_token_ids:
            tracker.advance(token_id)
        self.state[slot] = torch.tensor(_row(tracker), dtype=torch.int32)
        self.exits[slot] = 1.0 if plan.early_exit is None else plan.early_exit
        self.loop.load(slot, tracker.loop)
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
        phase, cursor, num_hidden, start_match, end_match, _, _ = rows[:, :NUM_CHANGING].unbind(1)
        plan = rows[:, NUM_CHANGING:].unbind(1)
        budget, grace, min_tokens, has_exit, close_at, end_at, lead_at, close_end, script_end = plan

        answering = phase == Phase.ANSWER
        thinking = phase == Phase.THINKING
        closing = phase == Phase.CLOSING
        forced = ~(answering | thinking)

        symbol = tables.symbol_of_token[token_ids]
        num_hidden = num_hidden + ~answering
        cursor = cursor + forced
        start_match = tables.start_table[start_match * tables.num_symbols + symbol] * answering
        end_match = tables.end_table[end_match * tables.num_symbols + symbol] * ~forced
        look = self.loop.look(slots, token_ids)

        # What the token says, in the tracker's order of precedence.
        opened = forced & ~closing & ((cursor == close_at) | (cursor == script_end))
        too_soon = num_hidden < min_tokens
        natural = thinking & (end_match == tables.end_length)
        signed = thinking & ~natural & (token_ids == tables.exit_stand_in_id) & (has_exit == 1)
        wants_end = thinking & ~natural & (token_ids == tables.eos_stand_in_id)
        signed = signed | (wants_end & ~too_soon)
        free = (thinking & ~natural & ~signed) | opened
        spare = budget - num_hidden - (close_end - close_at)
        exhausted = free & (spare <= 0)
        free = free & ~exhausted
        loops = free & thinking & look.loops
        held_open = free & too_soon & (wants_end | loops)
        boundary = free & thinking & tables.is_boundary[token_ids]
        graceful = boundary & ~too_soon & (spare <= grace)
        cut = exhausted | ((loops | graceful) & ~held_open)

        # A marker that the model has begun is completed, without the wrap-up.
        begun = torch.where(end_match > 0, end_at + end_match, close_at)
        cursor = torch.where(natural, lead_at, cursor)
        cursor = torch.where(signed, close_at, cursor)
        cursor = torch.where(cut, begun, cursor)
        length = script_end - close_end
        continuing = held_open & (length > 0) & (length <= spare)
        cursor = torch.where(continuing, close_end, cursor)
        left = natural | signed | cut
        ended = (closing | left) & (cursor == close_end)

        phase = torch.where(free | opened, int(Phase.THINKING), phase)
        phase = torch.where(continuing, int(Phase.CONTINUING), phase)
        phase = torch.where(left, int(Phase.CLOSING), phase)
        phase = torch.where(ended, int(Phase.ANSWER), phase)
        stays = ~(left | held_open)
        changed = (
            phase,
            cursor * ~ended,
            num_hidden,
            start_match,
            end_match * stays,
            ended,
            boundary & stays,
        )
        rows[:, :NUM_CHANGING] = torch.stack([column.to(torch.int32) for column in changed], dim=1)
        self.state[slots] = rows
        self.loop.store(slots, look, thinking & stays)

    def apply(self, logits: torch.Tensor, rows: torch.Tensor, slots: torch.Tensor) -> None:
        """Constrain the next token, in place.

        Args:
            logits: float ``[batch, vocab]``.
            rows: rows of `logits`, int64 ``[n]``.
            slots: their slots, int64 ``[n]``.
        """
        state = self.state[slots]
        phase = state[:, Field.PHASE]
        thinking = phase == Phase.THINKING
        answering = phase == Phase.ANSWER
        forced = ~(thinking | answering)
        self._force(logits, rows[forced], slots[forced], state[forced, Field.CURSOR])
        if thinking.any():
            self._leave_early(logits, rows, slots, state, thinking)
            self._stand_in(logits, rows[thinking], state[thinking])
        if answering.any():
            self._keep_answer_clean(logits, rows, state, answering)

    def _force(
        self, logits: torch.Tensor, rows: torch.Tensor, slots: torch.Tensor, cursor: torch.Tensor
    ) -> None:
        if rows.numel() == 0:
            return
        token_ids = self.scripts[slots, cursor].long()
        logits[rows] = NEG_INF
        logits[rows, token_ids] = 0.0

    def _stand_in(self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor) -> None:
        """Move the probability of ends that may not be sampled to the stand-in, exactly.

        The stop tokens' always; the end marker's, where one more token would complete it,
        while the thought must go on.
        """
        tables = self.tables
        stop_logits = logits[rows[:, None], tables.stop_token_ids]
        moved = torch.logsumexp(stop_logits, dim=1)
        logits[rows[:, None], tables.stop_token_ids] = NEG_INF
        last_of_marker = state[:, Field.END_MATCH] == tables.end_length - 1
        held = last_of_marker & (state[:, Field.NUM_HIDDEN] + 1 < state[:, Field.MIN_TOKENS])
        if held.any():
            moved[held] = torch.logaddexp(moved[held], logits[rows[held], tables.end_last])
            logits[rows[held], tables.end_last] = NEG_INF
        logits[rows, tables.eos_stand_in_id] = moved

    def _leave_early(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        slots: torch.Tensor,
        state: torch.Tensor,
        thinking: torch.Tensor,
    ) -> None:
        """At a boundary, where the end marker has become probable, sign the thought off.

        Only rows that ask pay for the softmax of their logits.
        """
        asking = thinking & (state[:, Field.HAS_EXIT] == 1)
        if not asking.any():
            return
        tables = self.tables
        enough = state[:, Field.NUM_HIDDEN] + 1 >= state[:, Field.MIN_TOKENS]
        probing = asking & (state[:, Field.AT_BOUNDARY] == 1) & enough
        logits[rows[asking], tables.exit_stand_in_id] = NEG_INF
        rows, slots = rows[probing], slots[probing]
        end_logprobs = logits[rows, tables.end_first] - torch.logsumexp(logits[rows], dim=1)
        confident = rows[end_logprobs.exp() > self.exits[slots]]
        logits[confident] = NEG_INF
        logits[confident, tables.exit_stand_in_id] = 0.0

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


def _row(tracker: ThinkingTracker) -> list[int]:
    """A tracker's state and plan as one row, in the order of :class:`Field`."""
    now, plan = tracker.state, tracker.plan
    changing = [
        now.phase,
        now.cursor,
        now.num_hidden,
        now.start_match,
        now.end_match,
        now.answer_begins,
        now.at_boundary,
    ]
    constant = [
        plan.budget,
        plan.grace_tokens,
        plan.min_tokens,
        plan.early_exit is not None,
        plan.close_at,
        plan.end_at,
        plan.lead_at,
        plan.close_end,
        len(plan.script),
    ]
    return [int(value) for value in changing + constant]
