"""Every alert fires when it should and stays inactive otherwise, on promtool's simulated clock.

Series are in promtool's notation, one value a minute.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.ops import programs
from tests.ops.observed import RULES, alerts

ON = 'job="thinking-server",instance="a:8000"'
REQUESTS = f'thinking_http_requests_total{{{ON},endpoint="/v1/chat/completions",status="200"}}'
Series = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """Series with which an alert fires by minute `at`, and series with which it does not."""

    fires: Series
    quiet: Series
    at: int = 20


def steady(name: str, loud: str, calm: str, labels: str = "", at: int = 20) -> Case:
    """Return a case of one series with two sequences of values."""
    series = f"{name}{{{ON}{labels}}}"
    return Case({series: loud}, {series: calm}, at)


def share(cause: str, loud: int, calm: int) -> Case:
    """Return a case of `loud` or `calm` thoughts a minute ended by `cause`, and ten naturally."""
    ended, natural = (f'thinking_stops_total{{{ON},cause="{c}"}}' for c in (cause, "natural"))
    # Choices that do not think are not counted.
    others = {natural: "0+10x120", f'thinking_stops_total{{{ON},cause="none"}}': "0+1000x120"}
    return Case({ended: f"0+{loud}x120", **others}, {ended: f"0+{calm}x120", **others}, 90)


def seconds(loud: str, calm: str) -> Case:
    """Return a case of a histogram: all observations up to 30 s, or all from 60 to 120 s."""
    name = "thinking_time_to_first_answer_token_seconds_bucket"
    bounds = ("30", "60", "120", "+Inf")

    def spread(first: str) -> Series:
        return {
            f'{name}{{{ON},le="{bound}"}}': "0+10x60" if place >= bounds.index(first) else "0x60"
            for place, bound in enumerate(bounds)
        }

    return Case(spread(loud), spread(calm), 30)


def failures(name: str, cause: str) -> Case:
    """Return a case of ten requests a minute, of which two fail, or none."""
    other = "thinking_stream_errors_total" if "rejections" in name else "thinking_rejections_total"
    base = {REQUESTS: "0+10x60", f'{other}{{{ON},cause="engine_dead"}}': "0x60"}
    failed = f'{name}{{{ON},cause="{cause}"}}'
    return Case(base | {failed: "0+2x60"}, base | {failed: "0x60"})


def stalled() -> Case:
    """Return a case of running requests that generate no tokens, or some."""
    running = {f"vllm:num_requests_running{{{ON}}}": "3x60"}
    tokens = f"vllm:generation_tokens_total{{{ON}}}"
    return Case(running | {tokens: "500x60"}, running | {tokens: "0+50x60"})


def overload() -> Case:
    """Return a case of one refusal a second, or one a minute."""
    streams = {f'thinking_stream_errors_total{{{ON},cause="deadline_exceeded"}}': "0x60"}
    refused = f'thinking_rejections_total{{{ON},cause="queue_full"}}'
    return Case(streams | {refused: "0+60x60"}, streams | {refused: "0+1x60"})


def processes(name: str, loud: tuple[str, str], calm: tuple[str, str]) -> Case:
    """Return a case of a series of each of two API processes, for which one alert fires."""
    series = [f'{name}{{{ON},process="{number}"}}' for number in range(2)]
    fires, quiet = (dict(zip(series, values, strict=True)) for values in (loud, calm))
    return Case(fires, quiet)


UP = f"up{{{ON}}}"
CASES = {
    "ThinkingServerDown": [
        Case({UP: "0x60"}, {UP: "1x60"}),
        Case({}, {UP: "1x60"}),  # it is not in the targets at all
        Case({UP: "0x60"}, {UP: "1x19 0 1x40"}),  # down for a moment only
    ],
    "ThinkingEngineDown": [
        steady("thinking_engine_up", "0x60", "0x4 1x60"),
        processes("thinking_engine_up", ("0x60", "1x60"), ("1x60", "1x60")),
        processes("thinking_engine_up", ("0x60", "0x60"), ("0x4 1x60", "1x60")),
    ],
    "ThinkingStalled": [stalled()],
    "ThinkingErrorRate": [
        failures("thinking_rejections_total", "engine_dead"),
        failures("thinking_stream_errors_total", "internal_error"),
    ],
    "ThinkingBudgetExhaustion": [share("budget", 30, 5), share("grace", 30, 5)],
    "ThinkingLoops": [share("loop", 5, 1)],
    "ThinkingFirstAnswerSlow": [seconds("120", "30")],
    "ThinkingQueueLong": [
        steady("thinking_queue_length", "50x60", "20x60"),
        processes("thinking_queue_length", ("15x60", "15x60"), ("15x60", "5x60")),
    ],
    "ThinkingOverloadRefusals": [overload()],
    "ThinkingBudgetsShrunk": [steady("thinking_load_budget_share", "0.3x60", "0.5x60")],
    "ThinkingKvCacheFull": [steady("vllm:kv_cache_usage_perc", "0.99x60", "0.9x60")],
    "ThinkingPreemptions": [steady("vllm:num_preemptions_total", "0+30x60", "0+1x60")],
    "ThinkingQuotaRefusals": [
        steady(
            "thinking_quota_refusals_total",
            "0+5x60",
            "0+1x60",
            ',key="team",quota="tokens_per_day"',
        )
    ],
    "ThinkingQuotaStorageDown": [steady("thinking_quota_storage_up", "0x60", "0 1x60")],
    "ThinkingLedgerDown": [steady("thinking_ledger_up", "0x60", "0 1x60")],
    "ThinkingBadKeys": [
        steady("thinking_rejections_total", "0+120x60", "0+6x60", ',cause="invalid_api_key"')
    ],
    "ThinkingKeysNotReloaded": [
        steady("thinking_key_reloads_total", "0x10 1x50", "0x60", ',result="failed"'),
        # Long ago.
        steady("thinking_key_reloads_total", "0x40 1x20", "0 1x60", ',result="failed"', at=50),
    ],
    "ThinkingTracesDropped": [
        steady("thinking_traces_dropped_total", "0+1x60", "5x60", ',reason="queue_full"')
    ],
}


def test_every_alert_has_its_cases() -> None:
    assert set(CASES) == set(alerts())


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_where_it_should_and_only_there(name: str, tmp_path: Path) -> None:
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": f"{case.at}m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for case in CASES[name]
        for fires, series in ((True, case.fires), (False, case.quiet))
    ]
    path = tmp_path / "cases.yml"
    cases = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    path.write_text(yaml.safe_dump(cases))
    result = programs.run(["promtool", "test", "rules", str(path)])
    assert result.returncode == 0, result.stdout
