"""Merges several streams of deltas into one, read concurrently.

A stream that fails takes the others with it; a reader that stops early closes them all. Knows
nothing of engines or of what the deltas contain.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from server.choice.delta import ChoiceDelta


def merge_deltas(
    streams: Sequence[AsyncGenerator[ChoiceDelta, None]],
) -> AsyncGenerator[ChoiceDelta, None]:
    """Return the deltas of all `streams` as they arrive; waiting ones of a choice are joined."""
    return streams[0] if len(streams) == 1 else _merge(streams)


async def _merge(
    streams: Sequence[AsyncGenerator[ChoiceDelta, None]],
) -> AsyncGenerator[ChoiceDelta, None]:
    queue: asyncio.Queue[ChoiceDelta | Exception | None] = asyncio.Queue()

    async def read(stream: AsyncGenerator[ChoiceDelta, None]) -> None:
        try:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    queue.put_nowait(delta)
        except Exception as error:
            queue.put_nowait(error)  # raised again by the reader
        else:
            queue.put_nowait(None)

    tasks = [asyncio.create_task(read(stream)) for stream in streams]
    num_open = len(tasks)
    try:
        while num_open:
            num_ended, deltas = await _drain(queue)
            num_open -= num_ended
            for delta in deltas:
                yield delta
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(
    queue: "asyncio.Queue[ChoiceDelta | Exception | None]",
) -> tuple[int, list[ChoiceDelta]]:
    """Wait for an item, then take all there are.

    Returns:
        The number of streams that have ended, and the deltas, joined by choice.
    """
    joined: dict[int, ChoiceDelta] = {}
    num_ended = 0
    item = await queue.get()
    while True:
        if isinstance(item, Exception):
            raise item
        if item is None:
            num_ended += 1
        elif item.index in joined:
            joined[item.index].add(item)
        else:
            joined[item.index] = item
        if queue.empty():
            return num_ended, list(joined.values())
        item = queue.get_nowait()
