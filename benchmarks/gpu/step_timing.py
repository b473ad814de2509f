"""Timing of steps on a device: events, percentiles, kernels, and whether the host waits.

Knows how to time any repeated work, not what the work does.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Of the device's clock: more than a millisecond, so that the host has launched a whole step
# before the device comes to it.
BUSY_CYCLES = 4_000_000
Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds: median, tenth and ninetieth percentile on the device, median on the host."""

    device_us: float
    low_us: float
    high_us: float
    host_us: float


def time_work(prepare: Work, work: Work, device: torch.device, num_steps: int) -> Timing:
    """Time `work` `num_steps` times; `prepare` comes before each and is not timed.

    On a GPU the device is kept busy until the host has launched the work, as it is behind a
    forward pass. Without one, both times are wall-clock time.
    """
    on_device, on_host = [], []
    for _ in range(num_steps):
        prepare()
        if device.type != "cuda":
            begin = time.perf_counter()
            work()
            on_host.append((time.perf_counter() - begin) * 1e6)
            continue
        torch.cuda.synchronize()
        first, last = _make_event(), _make_event()
        torch.cuda._sleep(BUSY_CYCLES)  # type: ignore[no-untyped-call]
        first.record()
        begin = time.perf_counter()
        work()
        on_host.append((time.perf_counter() - begin) * 1e6)
        last.record()
        torch.cuda.synchronize()
        on_device.append(first.elapsed_time(last) * 1000)
    return summarize(on_device or on_host, on_host)


def _make_event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def summarize(on_device: list[float], on_host: list[float]) -> Timing:
    """Return the medians and percentiles of the times."""
    ordered = sorted(on_device)
    tenth = len(ordered) // 10
    return Timing(
        statistics.median(ordered),
        ordered[tenth],
        ordered[-1 - tenth],
        statistics.median(on_host),
    )


def find_waiting(prepare: Work, work: Work, device: torch.device, num_steps: int) -> bool | None:
    """Return whether the host waits for the device in `work`; None: not known without a GPU."""
    if device.type != "cuda":
        for _ in range(num_steps):
            prepare()
            work()
        return None
    for _ in range(num_steps):
        prepare()
        torch.cuda.set_sync_debug_mode("error")
        try:
            work()
        except RuntimeError as error:
            if "synchroniz" not in str(error):
                raise
            return True
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return False


def count_kernels(prepare: Work, work: Work, device: torch.device, num_steps: int) -> float | None:
    """Return how many kernels, copies and fills `work` runs, on average; None without a GPU."""
    if device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    count = 0
    for _ in range(num_steps):
        prepare()
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
            work()
            torch.cuda.synchronize()
        count += sum(event.device_type.name == "CUDA" for event in recorded.events())
    return count / num_steps
