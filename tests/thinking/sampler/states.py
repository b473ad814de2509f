"""The state of one slot or tracker, for comparison, and state matrices in other orders."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from enum import IntEnum

import pytest

from thinking.sampler import row_state
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerState


def state_of(automaton: ThinkingAutomaton, slot: int) -> tuple[int, ...]:
    """Return a slot's state, in the order of ``TrackerState``."""
    columns = [row_state.Field[field.name.upper()] for field in fields(TrackerState)]
    return tuple(int(automaton.state[slot, column]) for column in columns)


def expected(tracker: ThinkingTracker) -> tuple[int, ...]:
    """Return the state that the slot of `tracker`'s request must have."""
    return tuple(int(value) for value in astuple(tracker.state))


@contextmanager
def columns_in_order(names: Sequence[str]) -> Iterator[None]:
    """Lay out the state matrix in another order, in all modules that use it."""
    original = row_state.Field
    field = IntEnum("Field", {name: column for column, name in enumerate(names)})  # type: ignore[misc]
    ours = [sys.modules[name] for name in sys.modules if name.startswith(("thinking.", "tests."))]
    users = [module for module in ours if getattr(module, "Field", None) is original]
    with pytest.MonkeyPatch.context() as patch:
        for module in users:
            patch.setattr(module, "Field", field)
        yield
