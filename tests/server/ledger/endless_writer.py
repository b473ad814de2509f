"""A process that writes rows for ever, and prints the number of each once it is durable."""

import asyncio
import sys
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from server.ledger.metrics import LedgerMetrics
from server.ledger.row import LedgerRow
from server.ledger.store import LedgerStore, parse_url
from server.ledger.writer import LedgerWriter

NUM_REPLIES = 50  # that end at a time


async def run(url: str, first: int) -> None:
    """Write rows, numbered from `first`."""
    writer = LedgerWriter(
        LedgerStore(parse_url(url), 10), None, LedgerMetrics(CollectorRegistry()), 60
    )
    writer.start()

    async def reply(number: int) -> None:
        while True:
            row = LedgerRow(
                f"r{number}", 0, datetime.now(UTC), "/v1", "k", "m", 1, 0, 2, number, "stop", {}
            )
            await writer.write(row)
            print(number, flush=True)  # noqa: T201
            number += NUM_REPLIES

    await asyncio.gather(*(reply(first + place) for place in range(NUM_REPLIES)))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
