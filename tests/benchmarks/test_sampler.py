"""The sampler's cost, as ratios within one run."""

import statistics
import time

import pytest
import torch

from benchmarks.sampler import Phase, Row, Step, count_state_bytes, format_table, make_our_step

NUM_ROWS = 64
SHORT, LONG = 100, 20_000


def measure_alternately(first: Step, second: Step, rounds: int = 60) -> tuple[float, float]:
    """Return the median time of each, measured alternately so that a busy machine slows both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, measured in zip((first, second), times, strict=True):
            begin = time.thread_time()
            step()
            measured.append(time.thread_time() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


@pytest.mark.parametrize("phase", ["thinking", "answering"])
def test_a_step_costs_the_same_however_long_the_thought(phase: Phase) -> None:
    torch.set_num_threads(1)
    short_step, long_step = (
        make_our_step(phase, NUM_ROWS, SHORT)[0],
        make_our_step(phase, NUM_ROWS, LONG)[0],
    )
    short, long = measure_alternately(short_step, long_step)
    # Anything that looks at the whole thought would cost tens of times more.
    assert long < 1.5 * short


def test_a_row_has_at_most_four_kilobytes_of_state() -> None:
    _, sampler = make_our_step("thinking", 1, SHORT)
    assert count_state_bytes(sampler.automaton) <= 4096


def test_rows_that_ask_for_nothing_cost_nothing() -> None:
    torch.set_num_threads(1)
    step, _ = make_our_step("thinking", NUM_ROWS, SHORT)
    _, idle = make_our_step("thinking", 1, SHORT)
    idle.update({})
    logits = torch.zeros(NUM_ROWS, 10)

    def apply() -> None:
        idle.apply(logits)

    busy, nothing = measure_alternately(step, apply)
    assert nothing < busy / 20


def test_the_table_says_how_many_times_faster() -> None:
    assert "| thinking | 2 | 1,000 | 0.500 | 5.00 | 10 |" in format_table(
        [Row("thinking", 2, 1000, 0.5, 5.0)]
    )
