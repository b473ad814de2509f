"""Milliseconds a step: our sampler beside vLLM's own thinking budget, in one run.

    python -m benchmarks.sampler [--rows 1 64 256] [--lengths 100 1000 8000] [--json FILE]

Both see the same batch (every row under a budget that is never reached, one new token a
row and step) on one core, and both do a step's whole work: taking the new tokens and
constraining the logits. The forward pass is not part of it. vLLM's side is
``ThinkingBudgetStateHolder`` of its V1 runner, called as its ``GPUModelRunner`` does.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from cpuinfo import get_cpu_info

from thinking.arrays import arrays_for
from thinking.automaton_tables import AutomatonTables
from thinking.markers import MarkerProfile, Opening
from thinking.plan import make_plan
from thinking.sampler import SamplerRow, ThinkingSampler
from thinking.tracker import TrackerTables

VOCAB_SIZE = 49_152
START_ID, END_ID, STOP_ID, STAND_IN_ID, EXIT_ID, WORD_ID, BOUNDARY_ID = 3, 4, 2, 1, 5, 1000, 1001
BUDGET = 10_000_000
Phase = Literal["thinking", "answering"]
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; times are milliseconds a step, medians."""

    phase: Phase
    rows: int
    length: int
    ours_ms: float
    vllm_ms: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return None if self.vllm_ms is None else self.vllm_ms / self.ours_ms


def output_tokens(phase: Phase, length: int) -> list[int]:
    """`length` output tokens of a reply that is in `phase` at their end."""
    if phase == "thinking":
        return [START_ID] + [WORD_ID] * (length - 1)
    thought = length // 2
    return [START_ID] + [WORD_ID] * (thought - 2) + [END_ID] + [WORD_ID] * (length - thought)


def ours(phase: Phase, num_rows: int, length: int) -> Step:
    """A step of our sampler."""
    profile = MarkerProfile(
        "bench", (START_ID,), (END_ID,), Opening.FORCED, (STOP_ID,), STAND_IN_ID, EXIT_ID
    )
    device = torch.device("cpu")
    shared = AutomatonTables(
        TrackerTables(profile, frozenset({BOUNDARY_ID})), VOCAB_SIZE, arrays_for(device)
    )
    sampler = ThinkingSampler(shared, num_rows, device)
    plan = make_plan(profile, BUDGET)
    rows = [SamplerRow(plan, output_tokens(phase, length)) for _ in range(num_rows)]
    sampler.update(dict(enumerate(rows)))
    logits = torch.zeros(num_rows, VOCAB_SIZE)

    def step() -> None:
        for row in rows:
            row.output_token_ids.append(WORD_ID)
        sampler.apply(logits)

    return step


def vllms(phase: Phase, num_rows: int, length: int) -> Step:
    """A step of vLLM's V1 thinking budget."""
    from vllm import SamplingParams
    from vllm.config.reasoning import ReasoningConfig
    from vllm.v1.sample.logits_processor.interface import BatchUpdate
    from vllm.v1.sample.thinking_budget_state import ThinkingBudgetStateHolder

    config = ReasoningConfig(reasoning_start_str="<think>", reasoning_end_str="</think>")
    config._reasoning_start_token_ids = [START_ID]
    config._reasoning_end_token_ids = [END_ID]
    holder = ThinkingBudgetStateHolder(config, num_rows, 0, torch.device("cpu"), False)
    outputs = [output_tokens(phase, length) for _ in range(num_rows)]
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


def milliseconds(step: Step, *, seconds: float, max_steps: int = 200) -> float:
    """Median time of a step, after two warm-up steps."""
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
    """Measure every combination."""
    result = []
    for phase in ("thinking", "answering"):
        for num_rows in row_counts:
            for length in lengths:
                our_time = milliseconds(ours(phase, num_rows, length), seconds=seconds)
                peer_time = (
                    milliseconds(vllms(phase, num_rows, length), seconds=seconds) if peer else None
                )
                result.append(Row(phase, num_rows, length, our_time, peer_time))
    return result


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
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
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000, 8000])
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on one number")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = compare(arguments.rows, arguments.lengths, seconds=arguments.seconds)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
