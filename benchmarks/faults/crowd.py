"""Many clients at once; halfway through, the engine is killed.

Counts the outcomes of all requests, and what is left in the server after all clients have gone.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.faults.behaviours import TIMEOUT, Client, send_request
from benchmarks.faults.outcome import Outcome, Tally
from benchmarks.faults.supervised import SupervisedServer

REST_SECONDS = 30.0
RETRY_SECONDS = 0.5
# Zero without requests.
GAUGES = ("thinking_requests_in_flight", "thinking_queue_length", "thinking_admitted_requests")


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a run; the engine is killed after the share `kill_after` of the time, None: never."""

    num_clients: int
    seconds: float
    kill_after: float | None
    model: str
    seed: int


@dataclass(slots=True)
class Result:
    """Result of a run; `left_over` are gauges that did not return to 0."""

    tally: Tally
    seconds: float = 0.0
    rss_before: int = 0
    rss_after: int = 0
    left_over: Mapping[str, float] = field(default_factory=dict)


async def run(server: SupervisedServer, plan: Plan) -> Result:
    """Run the crowd against `server` and kill its engine meanwhile."""
    result = Result(Tally(), rss_before=server.read_rss_bytes())
    started = time.monotonic()
    crowd = asyncio.create_task(run_crowd(server.url, plan, result.tally))
    if plan.kill_after is not None:
        await asyncio.sleep(plan.seconds * plan.kill_after)
        server.kill_engine()
    await crowd
    result.seconds = time.monotonic() - started
    await server.wait_ready()
    result.left_over = await find_left_over(server.url)
    result.rss_after = server.read_rss_bytes()
    return result


async def run_crowd(url: str, plan: Plan, tally: Tally) -> None:
    """Run all clients until the time is up and their last requests have ended."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    until = time.monotonic() + plan.seconds
    async with (
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits) as http,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(plan.num_clients):
            dice = random.Random(plan.seed * 10_000 + number)
            client = Client(http, plan.model, dice, tally)
            tasks.create_task(_send_until(client, until))


async def _send_until(client: Client, until: float) -> None:
    while time.monotonic() < until:
        outcome = await send_request(client)
        if outcome in (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.FAILED):
            await asyncio.sleep(RETRY_SECONDS)  # as a good client does


async def find_left_over(url: str) -> dict[str, float]:
    """Return the gauges that are not 0 although there are no requests."""
    left: dict[str, float] = {}
    until = time.monotonic() + REST_SECONDS
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while time.monotonic() < until:
            left = _find_busy_gauges((await http.get("/metrics")).text)
            if not left:
                return {}
            await asyncio.sleep(RETRY_SECONDS)
    return left


def _find_busy_gauges(metrics: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        # Reading the metrics is itself a request.
        if sample.name in GAUGES and sample.value > (sample.name == GAUGES[0])
    }
