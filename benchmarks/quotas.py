"""Cost of quotas per request: reserving and settling all six, in memory and on Redis.

    python -m benchmarks.quotas [--redis redis://127.0.0.1:6379] [--requests 2000]

Measures each storage alone in one run: first sequential requests (median and 99th percentile
of both steps together), then 50 concurrent ones. Every request returns a part of its
reservation at its end.
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import fields

from prometheus_client import CollectorRegistry

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.metrics import QuotaMetrics
from server.quotas.quotas import Quotas
from server.quotas.storage import open_counters
from server.settings.quota import Quota
from server.settings.redis_url import MEMORY_URL

NUM_PARALLEL = 50
TIMEOUT_SECONDS = 5.0
QUOTA = Quota(**{field.name: 10**12 for field in fields(Quota)})
DEMAND = Demand(prompt_tokens=200, reasoning_tokens=1000, answer_tokens=300, num_engine_requests=1)


class Requests:
    """Requests that reserve and settle quotas as those of a server do."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._metrics = Metrics()
        self._key = AccessKey("benchmark", quota=QUOTA)

    async def run_one(self) -> float:
        """Run one request and return its seconds."""
        account = RequestAccount("id", self._metrics, key=self._key)
        begin = time.perf_counter()
        await self._quotas.reserve(account, DEMAND)
        account.used.prompt, account.used.reasoning = 200, 400
        await account.at_end.aclose()
        return time.perf_counter() - begin

    async def run_many(self, num_requests: int) -> None:
        """Run requests sequentially."""
        for _ in range(num_requests):
            await self.run_one()


async def measure(name: str, url: str, num_requests: int) -> str:
    """Return one row of the table."""
    quotas = Quotas(open_counters(url, TIMEOUT_SECONDS), QuotaMetrics(CollectorRegistry()))
    requests = Requests(quotas)
    await requests.run_many(100)  # connects, warms up
    seconds = [await requests.run_one() for _ in range(num_requests)]
    begin = time.perf_counter()
    each = num_requests // NUM_PARALLEL
    await asyncio.gather(*(requests.run_many(each) for _ in range(NUM_PARALLEL)))
    rate = each * NUM_PARALLEL / (time.perf_counter() - begin)
    await quotas.close()
    middle = statistics.median(seconds) * 1000
    slow = statistics.quantiles(seconds, n=100)[98] * 1000
    return f"| {name} | {middle:.2f} | {slow:.2f} | {rate:,.0f} |"


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    print("| storage | median, ms | 99 %, ms | requests/s, 50 at a time |")
    print("|---|---|---|---|")
    print(await measure("memory", MEMORY_URL, arguments.requests))
    if arguments.redis:
        print(await measure("Redis", arguments.redis, arguments.requests))


if __name__ == "__main__":
    asyncio.run(main())
