"""``python -m benchmarks.steadiness``: whether thousands of requests leave anything behind.

Serves the thinker, sends chats from clients that each wait for their reply, every second one
streamed, and prints for every thousand: tokens a second, and the memory of the API process and of
all processes, in MiB; what processes share is counted once. The exit status is 1 if the memory of
the last thousand is more than 5 % above that of the second (the first fills caches), or its
throughput more than 5 % below.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.server_process import HOST, MIB, RunningServer, serve, sum_memory

MODEL = "thinker"
NUM_CLIENTS = 32
PART = 1000  # requests
MAX_TOKENS, BUDGET = 48, 24
READY_SECONDS = 300.0
TIMEOUT_SECONDS = 120.0
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Measurement:
    """After some thousand requests: throughput of the last thousand, memory in MiB."""

    requests: int
    tokens_per_second: float
    api_mib: float
    all_mib: float


def main() -> int:
    """Run, print the table, and judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    num_requests = parser.parse_args().requests
    command = [sys.executable, "-m", "server", "--model", MODEL, "--host", HOST]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.txt")
        with serve("ours", command, log, ready_seconds=READY_SECONDS) as running:
            parts = asyncio.run(send_all(running, num_requests))
    if len(parts) < 3:
        return 0
    second, last = parts[1], parts[-1]
    grows = last.all_mib > (1 + TOLERANCE) * second.all_mib
    slows = last.tokens_per_second < (1 - TOLERANCE) * second.tokens_per_second
    memory = "grows" if grows else "is flat"
    print(f"memory {memory}; throughput {'falls' if slows else 'stays'}")
    return 1 if grows or slows else 0


async def send_all(running: RunningServer, num_requests: int) -> list[Measurement]:
    """Send the requests in parts; print a line after each."""
    print(
        "| requests | tokens/s | API process MiB | all processes MiB |\n| --: | --: | --: | --: |"
    )
    parts = []
    limits = httpx.Limits(max_connections=NUM_CLIENTS)
    async with httpx.AsyncClient(
        base_url=running.url, timeout=TIMEOUT_SECONDS, limits=limits
    ) as client:
        for start in range(0, num_requests, PART):
            numbers = iter(range(start, min(start + PART, num_requests)))
            begin = time.perf_counter()
            tokens = await asyncio.gather(*(send_some(client, numbers) for _ in range(NUM_CLIENTS)))
            seconds = time.perf_counter() - begin
            part = Measurement(start + PART, sum(tokens) / seconds, *measure(running.process))
            parts.append(part)
            print(
                f"| {part.requests:,} | {part.tokens_per_second:,.0f} | {part.api_mib:,.0f} "
                f"| {part.all_mib:,.0f} |",
                flush=True,
            )
    return parts


async def send_some(client: httpx.AsyncClient, numbers: Iterator[int]) -> int:
    """Send one request after the other while there are any; return the tokens of the replies."""
    total = 0
    for number in numbers:
        body: dict[str, Any] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"{number % 97}+{number % 89}="}],
            "max_thinking_tokens": BUDGET,
            "max_completion_tokens": MAX_TOKENS,
            "ignore_eos": True,
        }
        if number % 2:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = await client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        if number % 2:
            assert answer.text.endswith("data: [DONE]\n\n"), answer.text[-200:]
        total += MAX_TOKENS
    return total


def measure(process: psutil.Process) -> tuple[float, float]:
    """Return the resident memory of the process that speaks HTTP, and that of all, in MiB."""
    return process.memory_info().rss / MIB, sum_memory(process)


if __name__ == "__main__":
    sys.exit(main())
