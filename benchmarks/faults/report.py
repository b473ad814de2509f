"""Formats a run as the Markdown of docs/endurance.md. Measures nothing."""

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.faults.crowd import Plan, Result
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.supervised import SupervisedServer

MIB = 2**20


def format_report(plan: Plan, result: Result, server: SupervisedServer) -> str:
    """Return the outcomes and figures of a run."""
    return "\n".join([*_format_outcomes(plan, result), "", *_format_figures(result, server)])


def is_sound(result: Result) -> bool:
    """Return whether nothing was lost, wrong or left over."""
    outcomes = result.tally.outcomes
    return not (outcomes[Outcome.LOST] or outcomes[Outcome.WRONG] or result.left_over)


def _format_outcomes(plan: Plan, result: Result) -> Iterator[str]:
    tally = result.tally
    kinds = sorted({kind for kind, _ in tally.by_kind})
    yield f"{plan.num_clients} clients at once, {result.seconds:.0f} s."
    yield ""
    yield "| | all | " + " | ".join(kinds) + " |"
    yield "| --- |" + " --: |" * (len(kinds) + 1)
    for outcome in Outcome:
        counts = (tally.by_kind[kind, outcome] for kind in kinds)
        cells = [f"**{tally.outcomes[outcome]}**", *(str(count or "") for count in counts)]
        yield f"| {outcome.value} | " + " | ".join(cells) + " |"


def _format_figures(result: Result, server: SupervisedServer) -> Iterator[str]:
    tally = result.tally
    yield f"- requests: {tally.num_sent} sent, {tally.num_accepted} accepted"
    yield f"- **lost silently: {tally.outcomes[Outcome.LOST]}**"
    tokens = tally.num_reasoning_tokens + tally.num_answer_tokens
    yield (
        f"- tokens of finished replies: {tally.num_reasoning_tokens} thought, "
        f"{tally.num_answer_tokens} answer ({tokens / result.seconds:.0f} a second)"
    )
    yield f"- first event of a stream: {_format_quantiles(tally.first_token_seconds)}"
    codes = ", ".join(map(str, server.exit_codes)) or "none"
    restarts = ", ".join(f"{seconds:.0f} s" for seconds in server.restart_seconds) or "none"
    yield f"- exit codes: {codes}; time until ready again: {restarts}"
    yield (
        f"- memory of the API process: {result.rss_before / MIB:.0f} MiB before, "
        f"{result.rss_after / MIB:.0f} MiB after (of the process that then ran)"
    )
    yield f"- left over in the gauges: {dict(result.left_over) or 'nothing'}"


def _format_quantiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none"
    cuts = statistics.quantiles(seconds, n=100)
    return f"median {cuts[49]:.2f} s, 99th percentile {cuts[98]:.2f} s"
