"""Report of a run: Markdown tables and JSON, from whatever records there are.

Written anew after each stage, so that a run that is cut off leaves a report of what it had.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.records import Check, Fact, Problem, Record, Round, StepTime
from benchmarks.gpu.settings import Device
from benchmarks.gpu.sides import BASES, BUDGET
from benchmarks.gpu.verdicts import RateTarget, compute_ratios, judge
from benchmarks.proof.tables import NOTHING, format_table

JSON_NAME, PAGE_NAME = "results.json", "results.md"


def write_report(folder: Path, records: Sequence[Record], device: Device) -> str:
    """Write ``results.json`` and ``results.md`` to `folder`; return the latter's text."""
    page = format_page(records, device)
    data = {
        "device": device,
        "verdicts": [
            {**asdict(judgement), "verdict": judgement.verdict.name.lower()}
            for judgement in judge(records, device)
        ],
        "records": [{"kind": type(record).__name__, **asdict(record)} for record in records],
    }
    (folder / JSON_NAME).write_text(json.dumps(data, indent=1), encoding="utf-8")
    (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    return page


def format_page(records: Sequence[Record], device: Device) -> str:
    """Return the report in Markdown."""
    judgements = judge(records, device)
    rows = [[j.target, j.measured or NOTHING, j.verdict.value] for j in judgements]
    parts = [
        "\n".join(f"- {r.name}: {r.value}" for r in records if isinstance(r, Fact)),
        format_table(["target", "measured", "verdict"], rows),
        _format_steps(records),
        _format_options(records),
        *(_format_rounds(records, stage) for stage in BASES),
        "\n".join(_list_checks(records)),
        "\n".join(f"- {r.case}: {r.reason}" for r in records if isinstance(r, Problem)),
    ]
    heads = ("Machine", "Targets", "A step", "Options", *map(str.capitalize, BASES), "Laws", "Gaps")
    sections = [f"## {head}\n\n{part}" for head, part in zip(heads, parts, strict=True) if part]
    return "# Benchmark on a GPU\n\n" + "\n\n".join(sections) + "\n"


def _format_steps(records: Sequence[Record]) -> str:
    """Return the table of steps with a budget, ours beside vLLM's."""
    steps = [r for r in records if isinstance(r, StepTime) and r.option == BUDGET]
    ours = {(step.rows, step.tokens): step for step in steps if step.side == "ours"}
    theirs = {(step.rows, step.tokens): step for step in steps if step.side == "vLLM"}
    head = ["rows", "tokens", "ours µs (10–90 %)", "host µs", "kernels", "waits"]
    head += ["vLLM µs (10–90 %)", "host µs", "kernels", "ours / vLLM"]
    rows = []
    for key, step in sorted(ours.items()):
        peer = theirs.get(key)
        ratio = NOTHING if peer is None else f"{step.device_us / peer.device_us:.2f}"
        cells = [f"{step.rows:,}", f"{step.tokens:,}", *_format_step(step), _format_waits(step)]
        rows.append([*cells, *(_format_step(peer) if peer else [NOTHING] * 3), ratio])
    return format_table(head, rows) if rows else ""


def _format_options(records: Sequence[Record]) -> str:
    steps = [r for r in records if isinstance(r, StepTime) and r.option != BUDGET]
    head = ["rows with", "rows", "µs (10–90 %)", "host µs", "kernels", "waits"]
    rows = [[s.option, str(s.rows), *_format_step(s), _format_waits(s)] for s in steps]
    return format_table(head, rows) if rows else ""


def _format_step(step: StepTime) -> list[str]:
    kernels = NOTHING if step.kernels is None else f"{step.kernels:g}"
    spread = f"{step.device_us:.1f} ({step.low_us:.1f}–{step.high_us:.1f})"
    return [spread, f"{step.host_us:.1f}", kernels]


def _format_waits(step: StepTime) -> str:
    return {True: "yes", False: "no", None: NOTHING}[step.waits]


def _format_rounds(records: Sequence[Record], stage: str) -> str:
    """Return the table of a stage's tokens per second, each side beside the stage's base."""
    rounds = [r for r in records if isinstance(r, Round) and r.stage == stage]
    head = ["at once", "side", "rounds", "tokens/s (range)", f"of “{BASES[stage]}” (range)"]
    head += ["first text s", "accepted"]
    groups: dict[tuple[int, str], list[Round]] = {}
    for record in rounds:
        groups.setdefault((record.at_once, record.side), []).append(record)
    rows = []
    for (at_once, side), group in groups.items():
        rates = [record.tokens_per_second for record in group]
        ratios = compute_ratios(rounds, RateTarget(stage, side, BASES[stage], 0.0), at_once)
        firsts = [r.first_seconds for r in group if r.first_seconds is not None]
        accepted = [r.acceptance for r in group if r.acceptance is not None]
        rows.append(
            [
                *(str(at_once), side, str(len(group))),
                _format_range(rates, ".0f"),
                _format_range(ratios, ".3f") if side != BASES[stage] else NOTHING,
                f"{statistics.median(firsts):.3f}" if firsts else NOTHING,
                f"{statistics.median(accepted):.1%}" if accepted else NOTHING,
            ]
        )
    return format_table(head, rows) if rows else ""


def _format_range(values: Sequence[float], form: str) -> str:
    if not values:
        return NOTHING
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"


def _list_checks(records: Sequence[Record]) -> Iterator[str]:
    sums: dict[tuple[str, str], int] = {}
    for record in records:
        if isinstance(record, Check):
            key = (record.stage, record.law)
            sums[key] = sums.get(key, 0) + record.replies
    for (stage, law), replies in sums.items():
        yield f"- {stage}: {law}: {replies:,} replies or rows"
