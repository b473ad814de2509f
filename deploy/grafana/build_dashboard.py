"""Generates the Grafana dashboard: python deploy/grafana/build_dashboard.py

The dashboard is code (Grafana's Foundation SDK) that writes dashboards/thinking-server.json; a
test keeps the two in sync. Knows nothing of the server but the names of its metrics.
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
# Selector of the series that the dashboard's variables choose.
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


def query_rate(name: str, by: str = "", where: str = "") -> str:
    """Return a query of the rate per second over the instances; `by` are the labels to keep."""
    kept = f" by ({by})" if by else ""
    return f"sum{kept} (rate({name}{{{ON}{where}}}[{WINDOW}]))"


def query_value(name: str, function: str = "sum", by: str = "") -> str:
    """Return a query of a gauge over the instances."""
    kept = f" by ({by})" if by else ""
    return f"{function}{kept} ({name}{{{ON}}})"


def query_quantile(share: float, name: str) -> str:
    """Return a query of a histogram's quantile over the instances."""
    return f"histogram_quantile({share}, {query_rate(f'{name}_bucket', 'le')})"


def query_quantiles(name: str) -> list[Query]:
    """Return queries of the median, the 95th and the 99th percentile."""
    return [(query_quantile(share, name), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def make_target(query: Query, letter: str) -> prometheus.Dataquery:
    """Return one query of a panel."""
    made = prometheus.Dataquery().expr(query[0]).legend_format(query[1]).ref_id(letter)
    return made.datasource(SOURCE)


def make_graph(
    title: str, unit: str, *queries: Query, span: int = 8, stacked: bool = False
) -> AnyPanel:
    """Return a panel with lines over time."""
    panel = timeseries.Panel().title(title).unit(unit).min(0).span(span).height(8)
    panel.datasource(SOURCE).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(make_target(query, letter))
    return panel


def make_number(title: str, unit: str, expression: str, name: str = "") -> AnyPanel:
    """Return a panel with the last value in large type."""
    panel = stat.Panel().title(title).unit(unit).span(4).height(4).datasource(SOURCE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.with_target(make_target((expression, name), "A"))


def make_heat_map(title: str, unit: str, name: str) -> AnyPanel:
    """Return a panel with the distribution of a histogram over time."""
    buckets = (
        prometheus.Dataquery().expr(query_rate(f"{name}_bucket", "le")).legend_format("{{le}}")
    )
    buckets.ref_id("A").format(PromQueryFormat.HEATMAP).datasource(SOURCE)
    axis = heatmap.YAxisConfig().unit(unit)
    panel = heatmap.Panel().title(title).datasource(SOURCE).span(8).height(8)
    panel.calculate(False).y_axis(axis).with_target(buckets)
    return panel.rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.LE))


def show_overview() -> Iterator[AnyPanel]:
    """Yield panels on the general state."""
    failed = query_rate("thinking_rejections_total", where=FAILURES)
    # A server that is down reports no model, so only the variable `job` can select it.
    yield make_number("Up", "none", 'sum(up{job=~"$job"})', "servers")
    yield make_number("Engine up", "none", query_value("thinking_engine_up"), "engines")
    yield make_number("In flight", "none", query_value("thinking_requests_in_flight"))
    yield make_number("Requests", "reqps", query_rate("thinking_http_requests_total"))
    yield make_number("Failed", "reqps", f"{failed} + {query_rate('thinking_stream_errors_total')}")
    yield make_number(
        "Version",
        "none",
        query_value("thinking_build_info", by="version,model,vllm"),
        "{{model}}: {{version}}, vLLM {{vllm}}",
    )
    yield make_graph(
        "Tokens",
        "short",
        (query_rate("thinking_reasoning_tokens_total"), "thinking"),
        (query_rate("thinking_answer_tokens_total"), "answer"),
        (query_rate("thinking_prompt_tokens_total"), "prompt"),
    )
    yield make_graph(
        "Requests by endpoint",
        "reqps",
        (query_rate("thinking_http_requests_total", "endpoint"), "{{endpoint}}"),
    )
    yield make_graph(
        "Errors",
        "reqps",
        (query_rate("thinking_rejections_total", "cause") + " > 0 or vector(0)", "{{cause}}"),
        (
            query_rate("thinking_stream_errors_total", "cause") + " > 0 or vector(0)",
            "stream: {{cause}}",
        ),
        (query_rate("thinking_clients_left_total"), "client left"),
    )


def show_budgets() -> Iterator[AnyPanel]:
    """Yield panels on requested, granted and used budgets."""
    used, granted = query_rate("thinking_used_tokens_sum"), query_rate("thinking_budget_tokens_sum")
    yield make_graph(
        "Budget per choice (p95)",
        "short",
        (query_quantile(0.95, "thinking_budget_requested_tokens"), "requested"),
        (query_quantile(0.95, "thinking_budget_tokens"), "granted"),
        (query_quantile(0.95, "thinking_used_tokens"), "used"),
    )
    yield make_graph(
        "Budget utilization",
        "percentunit",
        (f"{used} / {granted}", "of all granted tokens"),
        (query_quantile(0.5, "thinking_budget_utilization"), "of a budget, p50"),
    )
    yield make_graph(
        "Stop reasons of thoughts",
        "short",
        (query_rate("thinking_stops_total", "cause"), "{{cause}}"),
        stacked=True,
    )
    yield make_graph(
        "Reduced budgets by cause",
        "short",
        (query_rate("thinking_budget_limited_total", "by"), "{{by}}"),
        stacked=True,
    )
    yield make_graph(
        "Tokens saved by early stops",
        "short",
        (query_rate("thinking_saved_tokens_total", "cause"), "{{cause}}"),
        stacked=True,
    )
    segments = query_rate("thinking_segments_sum") + " / " + query_rate("thinking_segments_count")
    yield make_graph(
        "Segments and searches",
        "short",
        (segments, "thoughts per choice"),
        (query_rate("thinking_branches_total", "strategy"), "branches: {{strategy}}"),
        (query_rate("thinking_injected_tokens_total"), "injected tokens"),
    )


def show_latency() -> Iterator[AnyPanel]:
    """Yield panels on waiting times of clients."""
    yield make_graph(
        "Time to first token", "s", *query_quantiles("thinking_time_to_first_token_seconds")
    )
    yield make_graph(
        "Time to first answer token",
        "s",
        *query_quantiles("thinking_time_to_first_answer_token_seconds"),
    )
    yield make_heat_map("Thinking time", "s", "thinking_seconds")
    yield make_graph("Request duration", "s", *query_quantiles("thinking_http_request_seconds"))
    between = "vllm:inter_token_latency_seconds"
    yield make_graph("Inter-token latency (engine)", "s", *query_quantiles(between))
    yield make_graph("Queue wait", "s", *query_quantiles("thinking_queue_seconds"))


def show_load() -> Iterator[AnyPanel]:
    """Yield panels on load and its effect on budgets."""
    yield make_graph(
        "Queue",
        "short",
        (query_value("thinking_queue_length", by="instance"), "waiting: {{instance}}"),
        (query_value("thinking_admitted_requests", by="instance"), "admitted: {{instance}}"),
    )
    yield make_graph(
        "Load and budget share",
        "percentunit",
        (query_value("thinking_load", "max", by="instance"), "load: {{instance}}"),
        (query_value("thinking_load_budget_share", "min", by="instance"), "budgets: {{instance}}"),
    )
    where = ',cause=~"queue_full|queue_timeout|deadline_exceeded|too_many_concurrent_requests"'
    yield make_graph(
        "Refused due to load",
        "reqps",
        (query_rate("thinking_rejections_total", "cause", where), "{{cause}}"),
    )


def show_quotas() -> Iterator[AnyPanel]:
    """Yield panels on quotas by key."""
    ratio = query_value("thinking_quota_used_ratio", "max", by="key,quota")
    yield make_graph("Quota utilization", "percentunit", (ratio, "{{key}}: {{quota}}"), span=12)
    refusals = query_rate("thinking_quota_refusals_total", "key,quota")
    yield make_graph("Refusals", "reqps", (refusals, "{{key}}: {{quota}}"), span=12)


def show_engine() -> Iterator[AnyPanel]:
    """Yield panels on vLLM's own metrics."""
    yield make_graph(
        "Requests in the engine",
        "short",
        (query_value("vllm:num_requests_running"), "running"),
        (query_value("vllm:num_requests_waiting"), "waiting"),
    )
    yield make_graph(
        "KV cache in use",
        "percentunit",
        (query_value("vllm:kv_cache_usage_perc", "max", by="instance"), "{{instance}}"),
    )
    hits = query_rate("vllm:prefix_cache_hits_total")
    hit_share = f"{hits} / {query_rate('vllm:prefix_cache_queries_total')}"
    yield make_graph(
        "Prefix cache and preemptions",
        "short",
        (hit_share, "prefix cache: share of tokens"),
        (query_rate("vllm:num_preemptions_total"), "preemptions per second"),
        (query_rate("vllm:generation_tokens_total"), "tokens per second"),
    )


ROWS = {
    "Overview": show_overview,
    "Budgets": show_budgets,
    "Latency": show_latency,
    "Load": show_load,
    "Quotas by key": show_quotas,
    "Engine": show_engine,
}


def make_variables() -> Sequence[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    """Return the variables for data source, job, model and instances."""
    of_model = 'job=~"$job",model=~"$model"'
    return (
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _make_variable("job", "label_values(thinking_build_info, job)"),
        _make_variable("model", 'label_values(thinking_build_info{job=~"$job"}, model)'),
        _make_variable("instance", f"label_values(thinking_build_info{{{of_model}}}, instance)"),
    )


def _make_variable(name: str, query: str) -> dashboard.QueryVariable:
    every = VariableOption(selected=True, text="All", value="$__all")
    made = dashboard.QueryVariable(name).label(name.capitalize()).query(query).datasource(SOURCE)
    made.multi(True).include_all(True).current(every)
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def build() -> str:
    """Return the dashboard as Grafana's JSON."""
    board = dashboard.Dashboard("thinking-server").uid("thinking-server").tags(["llm"])
    board.description("Thinking budgets, latency, load and quotas of thinking-server.")
    board.refresh("30s").time("now-1h", "now").timezone("browser").readonly()
    for variable in make_variables():
        board.with_variable(variable)
    number_of = count(1)
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title).id(next(number_of)))
        for panel in panels():
            board.with_panel(panel.id(next(number_of)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(build(), encoding="utf-8")
