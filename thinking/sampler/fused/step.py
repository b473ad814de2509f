"""Launches the fused kernels of a step on the tensors of an automaton.

Knows slots, rows and the engine's record of tokens, not vLLM. Imports Triton, so it is imported
only where a GPU's sampler runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from thinking.gate import GateMode
from thinking.plan import ThinkingPlan
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.fused import constrain
from thinking.sampler.fused.records import Model, Slots, Tokens
from thinking.sampler.fused.rule import RULE_WIDTH, THINKING
from thinking.sampler.fused.step_kernel import step_kernel
from thinking.sampler.fused.vocabulary_kernel import vocabulary_kernel
from thinking.sampler.tables import AutomatonTables

NO_PLAN = -1
BLOCK = 4096  # logits that a program reads at once
NUM_WARPS = 1
NUM_WARPS_OF_PASS = 8


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a step's logits, on the device.

    `slots` (int64 ``[rows]``) is the slot of each row, `offsets` (int32 ``[rows]``) its place
    among the rows of its request, which follow each other; `input_ids` (integer ``[rows]``) is
    the token that the model read there: the last accepted one, then drafts.
    """

    slots: torch.Tensor
    offsets: torch.Tensor
    input_ids: torch.Tensor


class FusedStep:
    """The step of a batch in one kernel, or two where a plan needs the whole vocabulary.

    `num_drafts` is the largest number of drafts of a request in a step.
    """

    def __init__(self, automaton: ThinkingAutomaton, num_drafts: int) -> None:
        self._automaton = automaton
        tables = automaton.tables
        device = automaton.state.device
        self._num_seen = torch.full(
            (automaton.capacity + 1,), NO_PLAN, dtype=torch.int32, device=device
        )
        self._model = _make_model(tables, device)
        # The tensors are written to, never replaced.
        self._slots = _make_slots(automaton, self._num_seen)
        self._max_rows = _round_up(num_drafts + 1)
        self._num_watched = _round_up(len(tables.watched_token_ids))
        self._no_rules = torch.zeros(RULE_WIDTH, dtype=torch.int32, device=device)

    def warm_up(self, tokens: Tokens) -> None:
        """Compile the kernels; raises what Triton raises if it cannot.

        No slot has a plan yet, so that nothing is written. `tokens` are those of the later steps:
        Triton compiles anew for other types, and where a stride is 1 or not divisible by 16.
        """
        device = self._automaton.state.device
        logits = torch.zeros((1, self._automaton.tables.vocab_size), device=device)
        one = torch.zeros(1, dtype=torch.int32, device=device)
        rows = Rows(slots=one.to(torch.int64), offsets=one, input_ids=one)
        self.run(logits, rows, tokens, passes=True)

    def set_seen(self, slots: Sequence[int], num_seen: Sequence[int | None]) -> None:
        """Set how many output tokens the state of each slot has seen; None: it has no plan."""
        put = self._automaton.arrays.put
        seen = put([NO_PLAN if number is None else number for number in num_seen], "int32")
        self._num_seen[put(slots, "int64")] = seen

    def run(
        self,
        logits: torch.Tensor,
        rows: Rows,
        tokens: Tokens,
        *,
        passes: bool,
        tells_phase: bool = False,
    ) -> torch.Tensor | None:
        """Advance the slots of the batch over their new tokens, and constrain all rows in place.

        Args:
            logits: float32 ``[rows, vocab]``; rows of slots without a plan are not touched.
            rows: the layout of `logits`.
            tokens: what has been accepted.
            passes: a plan of the batch needs a pass over the vocabulary (:func:`needs_pass`).
            tells_phase: return the phases.

        Returns:
            Whether each row's next token is sampled inside a thought (bool ``[rows]``; any value
            where its slot has no plan); None unless `tells_phase`.
        """
        num_rows = len(logits)
        rules = self._no_rules
        if passes or tells_phase:
            rules = torch.empty((num_rows, RULE_WIDTH), dtype=torch.int32, device=logits.device)
        step_kernel[(num_rows,)](
            slots=self._slots,
            model=self._model,
            tokens=tokens,
            token_stride=tokens.ids.stride(0),
            logits=logits,
            logits_stride=logits.stride(0),
            row_slots=rows.slots,
            row_offsets=rows.offsets,
            input_ids=rows.input_ids,
            rules=rules,
            num_rows=num_rows,
            passes=int(passes or tells_phase),
            max_rows=self._max_rows,
            num_watched=self._num_watched,
            num_warps=NUM_WARPS,
        )
        if passes:
            self._pass_over_vocabulary(logits, rows, rules)
        return rules[:, THINKING] == 1 if tells_phase else None

    def _pass_over_vocabulary(self, logits: torch.Tensor, rows: Rows, rules: torch.Tensor) -> None:
        kept = self._automaton.kept
        vocabulary_kernel[(len(logits),)](
            slots=self._slots,
            model=self._model,
            logits=logits,
            logits_stride=logits.stride(0),
            row_slots=rows.slots,
            row_offsets=rows.offsets,
            rules=rules,
            kept=kept.logits,
            kept_filled=kept.filled.view(torch.uint8),
            kept_stride=kept.logits.stride(0),
            num_rows=len(logits),
            max_rows=self._max_rows,
            num_watched=self._num_watched,
            num_kept=kept.rows_per_place,
            block=BLOCK,
            num_warps=NUM_WARPS_OF_PASS,
        )


def needs_pass(plan: ThinkingPlan) -> bool:
    """Return whether a plan's rows may need a pass over the vocabulary."""
    segments = plan.segments
    gated = segments is not None and (segments.mixes or segments.mode is GateMode.ENTROPY)
    return gated or plan.early_exit is not None


def count_kept_segments(num_drafts: int) -> int:
    """Return how many segments' logits a mixing request keeps.

    One, without drafts. Drafts may lead through several segments in a single step; the logits of
    none of them may take the place of those that are needed if the later drafts are rejected. Two
    segments begin at least four tokens apart: signal, a free token, an end marker and a gap.
    """
    return 1 if not num_drafts else 2 + num_drafts // 4


def _round_up(number: int) -> int:
    """Return the smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()


def _make_slots(automaton: ThinkingAutomaton, num_seen: torch.Tensor) -> Slots:
    return Slots(
        state=automaton.state,
        levels=automaton.levels,
        scripts=automaton.scripts,
        history=automaton.loop.history,
        runs=automaton.loop.runs,
        needed=automaton.loop.needed,
        tails=automaton.tails.tails,
        strings=automaton.tails.strings,
        num_seen=num_seen,
    )


def _make_model(tables: AutomatonTables, device: torch.device) -> Model:
    bits = (
        (tables.stop_columns, constrain.STOP),
        (tables.end_columns, constrain.END),
        (tables.start_columns, constrain.START),
        (tables.tool_columns, constrain.TOOL),
        (tables.eos_columns, constrain.EOS),
        (tables.exit_columns, constrain.EXIT),
        (tables.signal_columns, constrain.SIGNAL),
    )
    classes = np.zeros(len(tables.watched_token_ids), dtype=np.int32)
    for columns, bit in bits:
        classes |= np.asarray(columns.cpu(), dtype=np.int32) * bit
    return Model(
        symbols=tables.symbol_of_token,
        classes=tables.class_of_token,
        start_table=tables.start_table,
        end_table=tables.end_table,
        watched=tables.watched_token_ids,
        watched_classes=torch.from_numpy(classes).to(device),
        token_bytes=tables.token_bytes.table,
        token_lengths=tables.token_bytes.lengths,
        num_watched=len(classes),
        num_symbols=tables.num_symbols,
        start_length=tables.start_length,
        end_length=tables.end_length,
        end_first=tables.end_first,
        eos_stand_in=tables.eos_stand_in_id,
        exit_stand_in=tables.exit_stand_in_id,
        signal=tables.segment_signal_id,
        vocab_size=tables.vocab_size,
    )
