"""Milliseconds per step: our sampler against vLLM's own thinking budget, in one run.

    python -m benchmarks.sampler [--rows 1 64 256] [--lengths 100 1000 8000 100000] [--json FILE]

Both see the same batch (every row under a budget that is never reached, one new token per
row and step) on one core, and both do the whole work of a step: reading the new tokens and
constraining the logits. The forward pass is not included. vLLM's side is
``ThinkingBudgetStateHolder`` of its V1 runner, called as its ``GPUModelRunner`` does; it is
skipped above ``MAX_PEER_LENGTH``, where one of its steps takes seconds. A second table has
what vLLM lacks: rows with further options, and rows without a plan.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from cpuinfo import get_cpu_info

from thinking.gate import GateMode, SegmentRules
from thinking.markers.profile import MarkerProfile, Opening
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.sampler.arrays import Array, arrays_for
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

VOCAB_SIZE = 49_152
START_ID, END_ID, STOP_ID, STAND_IN_ID, EXIT_ID, WORD_ID, BOUNDARY_ID = 3, 4, 2, 1, 5, 1000, 1001
BUDGET = 10_000_000
MAX_PEER_LENGTH = 8000
Phase = Literal["thinking", "answering"]
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Row:
    """Line of the table; times are medians, in milliseconds per step."""

    phase: Phase
    rows: int
    length: int
    ours_ms: float
    vllm_ms: float | None

    @property
    def ratio(self) -> float | None:
        """Speed-up of ours over vLLM's."""
        return None if self.vllm_ms is None else self.vllm_ms / self.ours_ms


def make_output_tokens(phase: Phase, length: int) -> list[int]:
    """Return `length` output tokens of a reply that ends in `phase`."""
    if phase == "thinking":
        return [START_ID] + [WORD_ID] * (length - 1)
    thought = length // 2
    return [START_ID] + [WORD_ID] * (thought - 2) + [END_ID] + [WORD_ID] * (length - thought)


def make_our_step(
    phase: Phase, num_rows: int, length: int, rules: ThinkingRules | None = None
) -> tuple[Step, ThinkingSampler]:
    """Return a step of our sampler, and the sampler."""
    profile = MarkerProfile(
        "bench", (START_ID,), (END_ID,), Opening.FORCED, (STOP_ID,), STAND_IN_ID, EXIT_ID
    )
    device = torch.device("cpu")
    shared = AutomatonTables(
        TrackerTables(profile, frozenset({BOUNDARY_ID})), VOCAB_SIZE, arrays_for(device)
    )
    sampler = ThinkingSampler(shared, num_rows, device)
    plan = make_plan(profile, BUDGET, rules)
    rows = _make_rows(sampler, plan, make_output_tokens(phase, length), num_rows)
    logits = torch.zeros(num_rows, VOCAB_SIZE)

    def step() -> None:
        for row in rows:
            row.output_token_ids.append(WORD_ID)
        sampler.apply(logits)

    return step, sampler


def _make_rows(
    sampler: ThinkingSampler, plan: ThinkingPlan, output: list[int], num_rows: int
) -> list[SamplerRow]:
    """Return rows that have all written `output`; replaying it for each would take minutes."""
    first = SamplerRow(plan, output)
    sampler.update({0: first})
    automaton = sampler.automaton
    for array in (
        automaton.state,
        automaton.scripts,
        automaton.levels,
        *get_other_arrays(automaton),
    ):
        array[1:num_rows] = array[0]
    others = [SamplerRow(plan, list(output), n, len(output)) for n in range(1, num_rows)]
    rows = [first, *others]
    sampler.update(dict(enumerate(rows)))
    return rows


def get_other_arrays(automaton: ThinkingAutomaton) -> list[Array]:
    """Return the arrays of loop guard and answer tails."""
    loop, tails = automaton.loop, automaton.tails
    return [loop.history, loop.runs, loop.needed, tails.tails, tails.strings]


def count_state_bytes(automaton: ThinkingAutomaton) -> int:
    """Return the bytes of state per slot."""
    arrays = (automaton.state, automaton.scripts, automaton.levels, *get_other_arrays(automaton))
    return sum(int(array[0].nbytes) for array in arrays)


def make_vllm_step(phase: Phase, num_rows: int, length: int) -> Step:
    """Return a step of vLLM's V1 thinking budget."""
    from vllm import SamplingParams
    from vllm.config.reasoning import ReasoningConfig
    from vllm.v1.sample.logits_processor.interface import BatchUpdate
    from vllm.v1.sample.thinking_budget_state import ThinkingBudgetStateHolder

    config = ReasoningConfig(reasoning_start_str="<think>", reasoning_end_str="</think>")
    config._reasoning_start_token_ids = [START_ID]
    config._reasoning_end_token_ids = [END_ID]
    holder = ThinkingBudgetStateHolder(config, num_rows, 0, torch.device("cpu"), False)
    outputs = [make_output_tokens(phase, length) for _ in range(num_rows)]
    params = SamplingParams(thinking_token_budget=BUDGET)
    added = [(index, params, [WORD_ID], output) for index, output in enumerate(outputs)]
    holder.sync_batch(BatchUpdate(num_rows, removed=(), added=added, moved=()))
    logits = torch.zeros(num_rows, VOCAB_SIZE)

    def step() -> None:
        for output in outputs:
            output.append(WORD_ID)
        holder.update_state(outputs, None)
        holder.apply_to_logits(logits, False, None)

    return step


def time_step(step: Step, *, seconds: float, max_steps: int = 200) -> float:
    """Return the median milliseconds of a step, after two warm-up steps."""
    for _ in range(2):
        step()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < 5 or (len(times) < max_steps and time.perf_counter() < deadline):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def compare(
    row_counts: list[int], lengths: list[int], *, seconds: float, peer: bool = True
) -> list[Row]:
    """Measure every combination of phase, number of rows and length."""
    result = []
    for phase in ("thinking", "answering"):
        for num_rows in row_counts:
            for length in lengths:
                our_time = time_step(make_our_step(phase, num_rows, length)[0], seconds=seconds)
                peer_time = (
                    time_step(make_vllm_step(phase, num_rows, length), seconds=seconds)
                    if peer and length <= MAX_PEER_LENGTH
                    else None
                )
                result.append(Row(phase, num_rows, length, our_time, peer_time))
    return result


def compare_options(num_rows: int, *, seconds: float) -> dict[str, float]:
    """Return the milliseconds per step of batches whose rows all use one option."""
    entropy_gate = SegmentRules(GateMode.ENTROPY, threshold=20.0, opening=False)
    every_gate = SegmentRules(GateMode.EVERY, interval=BUDGET, opening=False)
    after_gate = SegmentRules(GateMode.AFTER, strings=("\n", "="), opening=False)
    options: dict[str, tuple[Phase, ThinkingRules]] = {
        "a budget": ("thinking", ThinkingRules()),
        "no loop guard": ("thinking", ThinkingRules(loop_guard=None)),
        "gate: every": ("answering", ThinkingRules(segments=every_gate)),
        "gate: after": ("answering", ThinkingRules(segments=after_gate)),
        "gate: entropy": ("answering", ThinkingRules(segments=entropy_gate)),
        "early exit, between sentences": ("thinking", ThinkingRules(early_exit=0.9)),
    }
    result = {}
    for name, (phase, rules) in options.items():
        step, _ = make_our_step(phase, num_rows, 100, rules)
        result[name] = time_step(step, seconds=seconds)
    _, sampler = make_our_step("thinking", 1, 100)
    sampler.update({})
    logits = torch.zeros(num_rows, VOCAB_SIZE)
    result["no plan"] = time_step(partial(_apply, sampler, logits), seconds=seconds)
    return result


def _apply(sampler: ThinkingSampler, logits: torch.Tensor) -> None:
    sampler.apply(logits)


def format_table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    cpu = get_cpu_info()["brand_raw"]
    lines = [
        f"{cpu}, one core, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}",
        "",
        "| phase | rows | length | ours ms | vLLM ms | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        peer = "" if row.vllm_ms is None else f"{row.vllm_ms:.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.0f}"
        lines.append(
            f"| {row.phase} | {row.rows} | {row.length:,} | {row.ours_ms:.3f} | {peer} | {ratio} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000, 8000, 100_000])
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on one number")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = compare(arguments.rows, arguments.lengths, seconds=arguments.seconds)
    print(format_table(rows))
    options = compare_options(max(arguments.rows), seconds=arguments.seconds)
    print(f"\n| {max(arguments.rows)} rows with | ms |\n|---|---|")
    print("\n".join(f"| {name} | {time:.4f} |" for name, time in options.items()))
    _, sampler = make_our_step("thinking", 1, 100)
    print(f"\nstate: {count_state_bytes(sampler.automaton)} bytes a row")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
