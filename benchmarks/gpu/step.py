"""Stage "step": microseconds and kernels of a step of our V2 adapter, beside vLLM's own budget.

For every number of rows and length of thought; then rows with further options; then the time that
it takes to resume a request. Cases with a budget end with a check of the law: all rows go on until
their budget ends them, and are compared with the tracker. The forward pass is not included.
"""

import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace

import torch

from benchmarks.gpu.laws import LawError
from benchmarks.gpu.markers import find_markers, make_engine_options
from benchmarks.gpu.records import LAW_BROKEN, Check, Fact, Journal, Problem, StepTime
from benchmarks.gpu.settings import Deadline, Settings
from benchmarks.gpu.step_cases import (
    NUM_CHECKED,
    NUM_PROFILED,
    NUM_WARM,
    UNREACHED,
    StepCase,
    make_cases,
)
from benchmarks.gpu.step_rows import ThinkingRows, Worker
from benchmarks.gpu.step_timing import Timing, count_kernels, find_waiting, time_work
from thinking.tracker import ThinkingTracker

STAGE = "step"
CASE_SECONDS = 5.0  # a guess at the longest case
LAW = "every row's thought ended at the tracker's token, within its budget"


def run(settings: Settings, journal: Journal, deadline: Deadline) -> None:
    """Measure all cases, by worth, until `deadline`."""
    if settings.is_cpu:
        torch.set_num_threads(1)  # else the times are those of waiting for busy cores
    worker = make_worker(settings)
    journal.append(Fact("vocabulary of the step", f"{worker.markers.vocab_size:,}"))
    for case in make_cases(worker.markers, settings.sizes):
        if not deadline.has(CASE_SECONDS):
            journal.append(Problem(case.name, "no time left"))
            continue
        try:
            measure_case(worker, journal, case, settings.sizes.num_steps)
        except Exception as error:  # any type; the other cases are worth having
            traceback.print_exc()
            journal.append(Problem(case.name, f"{type(error).__name__}: {str(error)[:300]}"))
        if worker.device.type == "cuda":
            torch.cuda.empty_cache()


def make_worker(settings: Settings) -> Worker:
    """Return what a worker process of vLLM's would have."""
    from vllm.engine.arg_utils import EngineArgs

    markers = find_markers(settings)
    options = make_engine_options(settings, max(settings.sizes.rows))
    config = EngineArgs(**options).create_engine_config()
    config.additional_config = {"thinking": markers.profile.to_dict()}
    return Worker(config, markers, torch.device(settings.device))


def measure_case(worker: Worker, journal: Journal, case: StepCase, num_steps: int) -> None:
    """Measure one case, vLLM's side of it, and check its law."""
    begin = time.perf_counter()
    rows = ThinkingRows(worker, case.rows, case.plan, case.output, case.planned)
    print(f"{case.name}: set up in {time.perf_counter() - begin:.2f} s", flush=True)
    rows.step()  # lays out the batch, and may compile kernels
    prepare = _make_preparation(rows, case)
    _measure_side("ours", worker, journal, case, prepare, rows.step, num_steps)
    if case.is_checked and case.plan is not None:
        rows.sample()
        try:
            rows.check_ending(ThinkingTracker(worker.markers.tables, case.plan))
        except LawError as error:
            journal.append(Problem(case.name, f"{LAW_BROKEN}: {error}"))
        else:
            journal.append(Check(STAGE, LAW, case.rows))
    if case.with_peer:
        _measure_peer(worker, journal, case, num_steps)


def _make_preparation(rows: ThinkingRows, case: StepCase) -> Callable[[], None]:
    """Return the part of a step that is the runner's: it samples, and has new logits."""

    def take_likeliest() -> None:
        token_ids = rows.logits.argmax(dim=1)
        rows.logits.copy_(rows.pristine)
        rows.sample(token_ids)

    return take_likeliest if case.is_greedy else rows.sample


def _measure_side(
    side: str,
    worker: Worker,
    journal: Journal,
    case: StepCase,
    prepare: Callable[[], None],
    step: Callable[[], None],
    num_steps: int,
) -> None:
    """Warm up, look for waits, time, count kernels."""
    device = worker.device
    find_waiting(prepare, step, torch.device("cpu"), NUM_WARM)
    waits = find_waiting(prepare, step, device, NUM_CHECKED)
    timing = time_work(prepare, step, device, num_steps)
    try:
        kernels = count_kernels(prepare, step, device, NUM_PROFILED)
    except RuntimeError as error:  # the profiler needs counters that containers may not see
        journal.append(Problem(f"kernels of {case.name}", str(error)[:300]))
        kernels = None
    journal.append(_to_record(side, case, timing, kernels, waits))


def _to_record(
    side: str, case: StepCase, timing: Timing, kernels: float | None, waits: bool | None
) -> StepTime:
    return StepTime(
        side=side,
        option=case.option,
        rows=case.rows,
        tokens=len(case.output),
        device_us=round(timing.device_us, 2),
        low_us=round(timing.low_us, 2),
        high_us=round(timing.high_us, 2),
        host_us=round(timing.host_us, 2),
        kernels=kernels,
        waits=waits,
    )


def _measure_peer(worker: Worker, journal: Journal, case: StepCase, num_steps: int) -> None:
    """Measure vLLM's V2 thinking budget over a history like ours; it needs a GPU."""
    if worker.device.type != "cuda":
        journal.append(Problem(f"vLLM's budget, {case.name}", "skipped: its kernels need a GPU"))
        return
    from vllm.v1.worker.gpu.sample.thinking_budget import ThinkingBudgetState

    profile = worker.markers.profile
    # A plan is not needed: vLLM's budget lives in its own state.
    rows = ThinkingRows(worker, case.rows, None, case.output, case.planned)
    markers = SimpleNamespace(
        reasoning_start_token_ids=list(profile.start_token_ids),
        reasoning_end_token_ids=list(profile.end_token_ids),
        natural_reasoning_end_token_ids=list(profile.end_token_ids),
    )
    state = ThinkingBudgetState(rows.history, markers)
    for slot in range(case.rows):
        state.add_request(slot, SimpleNamespace(thinking_token_budget=UNREACHED))
    state.apply_staged_writes()

    def step() -> None:
        state.apply(rows.logits, rows.context)

    step()
    _measure_side("vLLM", worker, journal, case, rows.sample, step, num_steps)
