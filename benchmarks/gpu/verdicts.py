"""Targets, and what was measured against each: the verdicts.

Rates are compared round by round: a target speaks of the median of the ratios, since what slows
the machine for a while slows both sides of a round. Of a trial on a CPU only the laws are judged.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from benchmarks.gpu import sides
from benchmarks.gpu.records import LAW_BROKEN, Check, Problem, Record, Round, StepTime
from benchmarks.gpu.settings import Device

MAX_STEP_US = 50.0
STEP_ROWS = 256
MAX_KERNELS = 2
MAX_OF_PEER = 1.5
MAX_GROWTH = 1.2  # of a step, from the shortest thought to the longest: "flat"


class Verdict(Enum):
    """Verdict on a target."""

    MET = "met"
    MISSED = "**missed**"
    UNKNOWN = "not measured"
    TRIAL = "not judged: no GPU"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Target with what was measured; "" where nothing was."""

    target: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RateTarget:
    """Target of a ratio of two sides: of tokens per second, or of accepted drafts."""

    stage: str
    side: str
    base: str
    at_least: float
    of_acceptance: bool = False


RATE_TARGETS = (
    RateTarget("engine", sides.OURS, sides.PLAIN, 0.98),
    RateTarget("engine", sides.IDLE, sides.PLAIN, 0.995),
    RateTarget("server", sides.SHOWN, sides.VLLM, 1.0),
    RateTarget("server", sides.HIDDEN, sides.VLLM, 1.3),
    RateTarget("speculative", sides.DRAFTS_BUDGET, sides.DRAFTS, 0.97),
    RateTarget("speculative", sides.DRAFTS_BUDGET, sides.DRAFTS, 0.97, of_acceptance=True),
)


def judge(records: Sequence[Record], device: Device) -> list[Judgement]:
    """Return the verdict on every target."""
    steps = [record for record in records if isinstance(record, StepTime)]
    rounds = [record for record in records if isinstance(record, Round)]
    judgements = [
        *_judge_steps(steps),
        *(judgement for target in RATE_TARGETS for judgement in _judge_rate(target, rounds)),
    ]
    if device != "cuda":
        judgements = [replace(judgement, verdict=Verdict.TRIAL) for judgement in judgements]
    return [*judgements, _judge_laws(records)]


def compute_ratios(rounds: Iterable[Round], target: RateTarget, at_once: int) -> list[float]:
    """Return the ratio of the target's sides in each round that both have."""
    values: dict[str, list[float]] = {target.side: [], target.base: []}
    for record in rounds:
        if record.stage == target.stage and record.at_once == at_once and record.side in values:
            value = record.acceptance if target.of_acceptance else record.tokens_per_second
            values[record.side].append(value or 0.0)
    pairs = zip(values[target.side], values[target.base], strict=False)
    return [ours / theirs for ours, theirs in pairs if theirs]


def _judge_steps(steps: Sequence[StepTime]) -> Iterator[Judgement]:
    ours = [step for step in steps if step.side == "ours" and step.option == sides.BUDGET]
    full = sorted((step for step in ours if step.rows == STEP_ROWS), key=lambda step: step.tokens)
    slowest = max((step.device_us for step in full), default=None)
    yield _decide(
        f"step at {STEP_ROWS} rows: at most {MAX_STEP_US:.0f} µs, at every length",
        None if slowest is None else f"{slowest:.1f} µs at most",
        slowest is not None and slowest <= MAX_STEP_US,
    )
    growth = full[-1].device_us / full[0].device_us if len(full) > 1 else None
    yield _decide(
        f"… flat: the longest thought at most {MAX_GROWTH} × the shortest",
        None if growth is None else f"{growth:.2f} × at {full[-1].tokens:,} tokens",
        growth is not None and growth <= MAX_GROWTH,
    )
    kernels = max((step.kernels for step in ours if step.kernels is not None), default=None)
    yield _decide(
        f"… at most {MAX_KERNELS} kernels",
        None if kernels is None else f"{kernels:.1f} at most",
        kernels is not None and kernels <= MAX_KERNELS,
    )
    ratios = _compare_with_peer(ours, steps)
    yield _decide(
        f"… at most {MAX_OF_PEER} × vLLM's own budget at {STEP_ROWS} rows",
        f"{max(ratios):.2f} × at most" if ratios else None,
        bool(ratios) and max(ratios) <= MAX_OF_PEER,
    )
    waits = [step.waits for step in steps if step.side == "ours" and step.waits is not None]
    yield _decide(
        "… the host never waits for the device",
        f"{sum(waits)} of {len(waits)} cases wait" if waits else None,
        not any(waits),
    )


def _compare_with_peer(ours: Iterable[StepTime], steps: Iterable[StepTime]) -> list[float]:
    theirs = {(step.rows, step.tokens): step.device_us for step in steps if step.side == "vLLM"}
    return [
        step.device_us / theirs[step.rows, step.tokens]
        for step in ours
        if step.rows == STEP_ROWS and (step.rows, step.tokens) in theirs
    ]


def _judge_rate(target: RateTarget, rounds: Sequence[Round]) -> Iterator[Judgement]:
    what = "accepted drafts" if target.of_acceptance else "tokens/s"
    text = f"{target.stage}: {what}, {target.side}: at least {target.at_least} × {target.base}"
    counts = sorted({record.at_once for record in rounds if record.stage == target.stage})
    if not counts:
        yield _decide(text, None, False)
    for at_once in counts:
        ratios = compute_ratios(rounds, target, at_once)
        ratio = statistics.median(ratios) if ratios else None
        measured = None if ratio is None else f"{ratio:.3f} × ({min(ratios):.3f}–{max(ratios):.3f})"
        is_met = ratio is not None and ratio >= target.at_least
        yield _decide(f"{text}, {at_once} at once", measured, is_met)


def _judge_laws(records: Sequence[Record]) -> Judgement:
    broken = [
        record
        for record in records
        if isinstance(record, Problem) and record.reason.startswith(LAW_BROKEN)
    ]
    held = sum(record.replies for record in records if isinstance(record, Check))
    measured = f"{held:,} replies and rows held, {len(broken)} cases broken"
    return _decide(
        "every law holds in every checked reply", measured if held or broken else None, not broken
    )


def _decide(target: str, measured: str | None, is_met: bool) -> Judgement:
    if measured is None:
        return Judgement(target, "", Verdict.UNKNOWN)
    return Judgement(target, measured, Verdict.MET if is_met else Verdict.MISSED)
