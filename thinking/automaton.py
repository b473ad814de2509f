"""The automaton: the tracker of every row of a batch at once, over tensors.

State is one int32 row a slot, so a step costs the same at thought length 100 and
100,000. What the state means for the next token is for ``thinking.constraints``; which
batch row sits in which slot is for ``thinking.sampler``. Nothing here knows vLLM.
"""

from enum import IntEnum, auto

import torch

from thinking.automaton_tables import AutomatonTables
from thinking.loop_tensors import LoopTensors
from thinking.phase import Phase
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan
from thinking.tracker import ThinkingTracker


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
