"""Writes the Grafana dashboard: python deploy/grafana/build_dashboard.py

The dashboard is code (Grafana's Foundation SDK); dashboards/thinking-server.json is what it
makes, and a test holds the two together. Knows nothing of the server but its metrics' names.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import HeatmapCellLayout, StackingMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OUTPUT = Path(__file__).parent / "dashboards" / "thinking-server.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# The series that are looked at, as the variables say.
ON = 'job=~"$job",instance=~"$instance"'
WINDOW = "$__rate_interval"
# The server's own fault, as in the alert rules.
FAILURES = (
    ',cause=~"engine_dead|engine_error|internal_error|scorer_unavailable'
    '|trace_store_busy|trace_store_failed"'
)
# A query and the name of its lines.
Query = tuple[str, str]
AnyPanel = timeseries.Panel | stat.Panel | heatmap.Panel


def rate(name: str, by: str = "", where: str = "") -> str:
    """Per second, over the instances; `by` are the labels that are kept."""
    kept = f" by ({by})" if by else ""
    return f"sum{kept} (rate({name}{{{ON}{where}}}[{WINDOW}]))"


def value(name: str, function: str = "sum", by: str = "") -> str:
    """A gauge, over the instances."""
    kept = f" by ({by})" if by else ""
    return f"{function}{kept} ({name}{{{ON}}})"


def quantile(share: float, name: str) -> str:
    """Of a histogram, over the instances."""
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', 'le')})"


def quantiles(name: str) -> list[Query]:
    """Half, nineteen of twenty, ninety-nine of a hundred."""
    return [(quantile(share, name), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def target(query: Query, letter: str) -> prometheus.Dataquery:
    """One query of a panel."""
    made = prometheus.Dataquery().expr(query[0]).legend_format(query[1]).ref_id(letter)
    return made.datasource(SOURCE)


def graph(title: str, unit: str, *queries: Query, span: int = 8, stacked: bool = False) -> AnyPanel:
    """Lines over time."""
    panel = timeseries.Panel().title(title).unit(unit).min(0).span(span).height(8)
    panel.datasource(SOURCE).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(target(query, letter))
    return panel


def number(title: str, unit: str, expression: str, name: str = "") -> AnyPanel:
    """The last value, large."""
    panel = stat.Panel().title(title).unit(unit).span(4).height(4).datasource(SOURCE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.with_target(target((expression, name), "A"))


def heat_map(title: str, unit: str, name: str) -> AnyPanel:
    """How a histogram is spread, over time."""
    buckets = prometheus.Dataquery().expr(rate(f"{name}_bucket", "le")).legend_format("{{le}}")
    buckets.ref_id("A").format(PromQueryFormat.HEATMAP).datasource(SOURCE)
    axis = heatmap.YAxisConfig().unit(unit)
    panel = heatmap.Panel().title(title).datasource(SOURCE).span(8).height(8)
    panel.calculate(False).y_axis(axis).with_target(buckets)
    return panel.rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.LE))


def overview() -> Iterator[AnyPanel]:
    """Is it well?"""
    failed = rate("thinking_rejections_total", where=FAILURES)
    # A server that is down tells no model, so no variable but the job holds it.
    yield number("Up", "none", 'sum(up{job=~"$job"})', "servers")
    yield number("Engine up", "none", value("thinking_engine_up"), "engines")
    yield number("In flight", "none", value("thinking_requests_in_flight"))
    yield number("Requests", "reqps", rate("thinking_http_requests_total"))
    yield number("Failed", "reqps", f"{failed} + {rate('thinking_stream_errors_total')}")
    yield number(
        "Version",
        "none",
        value("thinking_build_info", by="version,model,vllm"),
        "{{model}}: {{version}}, vLLM {{vllm}}",
    )
    yield graph(
        "Tokens",
        "short",
        (rate("thinking_reasoning_tokens_total"), "thinking"),
        (rate("thinking_answer_tokens_total"), "answer"),
        (rate("thinking_prompt_tokens_total"), "prompt"),
    )
    yield graph(
        "Requests by endpoint",
        "reqps",
        (rate("thinking_http_requests_total", "endpoint"), "{{endpoint}}"),
    )
    yield graph(
        "Errors",
        "reqps",
        (rate("thinking_rejections_total", "cause") + " > 0 or vector(0)", "{{cause}}"),
        (rate("thinking_stream_errors_total", "cause") + " > 0 or vector(0)", "stream: {{cause}}"),
        (rate("thinking_clients_left_total"), "client left"),
    )


def budgets() -> Iterator[AnyPanel]:
    """What was asked, given and used."""
    used, given = rate("thinking_used_tokens_sum"), rate("thinking_budget_tokens_sum")
    yield graph(
        "Budget of a choice (p95)",
        "short",
        (quantile(0.95, "thinking_budget_requested_tokens"), "asked"),
        (quantile(0.95, "thinking_budget_tokens"), "given"),
        (quantile(0.95, "thinking_used_tokens"), "used"),
    )
    yield graph(
        "Use of budgets",
        "percentunit",
        (f"{used} / {given}", "of all tokens given"),
        (quantile(0.5, "thinking_budget_utilization"), "of a budget, p50"),
    )
    yield graph(
        "What ended thoughts",
        "short",
        (rate("thinking_stops_total", "cause"), "{{cause}}"),
        stacked=True,
    )
    yield graph(
        "Budgets made smaller, by what",
        "short",
        (rate("thinking_budget_limited_total", "by"), "{{by}}"),
        stacked=True,
    )
    yield graph(
        "Tokens saved by early ends",
        "short",
        (rate("thinking_saved_tokens_total", "cause"), "{{cause}}"),
        stacked=True,
    )
    segments = rate("thinking_segments_sum") + " / " + rate("thinking_segments_count")
    yield graph(
        "Segments and searches",
        "short",
        (segments, "thoughts a choice"),
        (rate("thinking_branches_total", "strategy"), "branches: {{strategy}}"),
        (rate("thinking_injected_tokens_total"), "injected tokens"),
    )


def latency() -> Iterator[AnyPanel]:
    """What a client waits for."""
    yield graph("Time to first token", "s", *quantiles("thinking_time_to_first_token_seconds"))
    yield graph(
        "Time to first answer token", "s", *quantiles("thinking_time_to_first_answer_token_seconds")
    )
    yield heat_map("Time in thought", "s", "thinking_seconds")
    yield graph("Whole request", "s", *quantiles("thinking_http_request_seconds"))
    between = "vllm:inter_token_latency_seconds"
    yield graph("Between two tokens (engine)", "s", *quantiles(between))
    yield graph("Wait in the queue", "s", *quantiles("thinking_queue_seconds"))


def load() -> Iterator[AnyPanel]:
    """How full it is, and what that does to budgets."""
    yield graph(
        "Queue",
        "short",
        (value("thinking_queue_length", by="instance"), "waiting: {{instance}}"),
        (value("thinking_admitted_requests", by="instance"), "admitted: {{instance}}"),
    )
    yield graph(
        "Load, and what it leaves of budgets",
        "percentunit",
        (value("thinking_load", "max", by="instance"), "load: {{instance}}"),
        (value("thinking_load_budget_share", "min", by="instance"), "budgets: {{instance}}"),
    )
    where = ',cause=~"queue_full|queue_timeout|deadline_exceeded|too_many_concurrent_requests"'
    yield graph(
        "Refused for load",
        "reqps",
        (rate("thinking_rejections_total", "cause", where), "{{cause}}"),
    )


def quotas() -> Iterator[AnyPanel]:
    """Who uses how much."""
    ratio = value("thinking_quota_used_ratio", "max", by="key,quota")
    yield graph("Used share of quotas", "percentunit", (ratio, "{{key}}: {{quota}}"), span=12)
    refusals = rate("thinking_quota_refusals_total", "key,quota")
    yield graph("Refusals", "reqps", (refusals, "{{key}}: {{quota}}"), span=12)


def engine() -> Iterator[AnyPanel]:
    """vLLM's own."""
    yield graph(
        "Requests in the engine",
        "short",
        (value("vllm:num_requests_running"), "running"),
        (value("vllm:num_requests_waiting"), "waiting"),
    )
    yield graph(
        "KV cache in use",
        "percentunit",
        (value("vllm:kv_cache_usage_perc", "max", by="instance"), "{{instance}}"),
    )
    hits = f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}"
    yield graph(
        "Prefix cache and preemptions",
        "short",
        (hits, "prefix cache: share of tokens"),
        (rate("vllm:num_preemptions_total"), "preemptions a second"),
        (rate("vllm:generation_tokens_total"), "tokens a second"),
    )


ROWS = {
    "Overview": overview,
    "Budgets": budgets,
    "Latency": latency,
    "Load": load,
    "Quotas by key": quotas,
    "Engine": engine,
}


def variables() -> Sequence[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    """Which Prometheus, job, model and servers."""
    of_model = 'job=~"$job",model=~"$model"'
    return (
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _values("job", "label_values(thinking_build_info, job)"),
        _values("model", 'label_values(thinking_build_info{job=~"$job"}, model)'),
        _values("instance", f"label_values(thinking_build_info{{{of_model}}}, instance)"),
    )


def _values(name: str, query: str) -> dashboard.QueryVariable:
    every = VariableOption(selected=True, text="All", value="$__all")
    made = dashboard.QueryVariable(name).label(name.capitalize()).query(query).datasource(SOURCE)
    made.multi(True).include_all(True).current(every)
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def build() -> str:
    """The dashboard as Grafana's JSON."""
    board = dashboard.Dashboard("thinking-server").uid("thinking-server").tags(["llm"])
    board.description("What the server thinks, for whom, how long, and what stands in its way.")
    board.refresh("30s").time("now-1h", "now").timezone("browser").readonly()
    for variable in variables():
        board.with_variable(variable)
    number_of = count(1)
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title).id(next(number_of)))
        for panel in panels():
            board.with_panel(panel.id(next(number_of)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(build(), encoding="utf-8")
