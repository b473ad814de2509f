"""What an automaton's state leaves of the next token: written into the logits.

Reads state, never changes it: a step whose samples are thrown away may be done again.
Touches the logits of forced rows, and single columns of the others.
"""

import torch

from thinking.automaton import Field, ThinkingAutomaton
from thinking.phase import Phase

NEG_INF = float("-inf")


def constrain(
    automaton: ThinkingAutomaton, logits: torch.Tensor, rows: torch.Tensor, slots: torch.Tensor
) -> None:
    """Constrain the next token, in place.

    Args:
        automaton: has seen all tokens that were sampled.
        logits: float ``[batch, vocab]``.
        rows: rows of `logits`, int64 ``[n]``.
        slots: their slots, int64 ``[n]``.
    """
    state = automaton.state[slots]
    phase = state[:, Field.PHASE]
    thinking = phase == Phase.THINKING
    answering = phase == Phase.ANSWER
    forced = ~(thinking | answering)
    if forced.any():
        token_ids = automaton.scripts[slots[forced], state[forced, Field.CURSOR]].long()
        _force(logits, rows[forced], token_ids)
    if thinking.any():
        rows_thinking, state_thinking = rows[thinking], state[thinking]
        _leave_early(automaton, logits, rows_thinking, slots[thinking], state_thinking)
        _stand_in(automaton, logits, rows_thinking, state_thinking)
    if answering.any():
        _keep_answer_clean(automaton, logits, rows[answering], state[answering])


def _force(logits: torch.Tensor, rows: torch.Tensor, token_ids: torch.Tensor) -> None:
    logits[rows] = NEG_INF
    logits[rows, token_ids] = 0.0


def _stand_in(
    automaton: ThinkingAutomaton, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor
) -> None:
    """Move the probability of ends that may not be sampled to the stand-in, exactly.

    The stop tokens' always; the end marker's, where one more token would complete it,
    while the thought must go on.
    """
    tables = automaton.tables
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
    automaton: ThinkingAutomaton,
    logits: torch.Tensor,
    rows: torch.Tensor,
    slots: torch.Tensor,
    state: torch.Tensor,
) -> None:
    """At a boundary, where the end marker has become probable, sign the thought off.

    Only rows that ask pay for the softmax of their logits.
    """
    asking = state[:, Field.HAS_EXIT] == 1
    if not asking.any():
        return
    tables = automaton.tables
    enough = state[:, Field.NUM_HIDDEN] + 1 >= state[:, Field.MIN_TOKENS]
    probing = asking & (state[:, Field.AT_BOUNDARY] == 1) & enough
    logits[rows[asking], tables.exit_stand_in_id] = NEG_INF
    rows, slots = rows[probing], slots[probing]
    end_logprobs = logits[rows, tables.end_first] - torch.logsumexp(logits[rows], dim=1)
    confident = rows[end_logprobs.exp() > automaton.exits[slots]]
    logits[confident] = NEG_INF
    logits[confident, tables.exit_stand_in_id] = 0.0


def _keep_answer_clean(
    automaton: ThinkingAutomaton, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor
) -> None:
    """No whole marker in an answer, and no end before its first token."""
    tables = automaton.tables
    start = state[:, Field.START_MATCH] == tables.start_length - 1
    end = state[:, Field.END_MATCH] == tables.end_length - 1
    begins = state[:, Field.ANSWER_BEGINS] == 1
    logits[rows[start], tables.start_last] = NEG_INF
    logits[rows[end], tables.end_last] = NEG_INF
    logits[rows[begins][:, None], tables.stop_token_ids] = NEG_INF
