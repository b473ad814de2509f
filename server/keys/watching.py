"""When to look at the file of keys: every few seconds, and on SIGHUP. Reads nothing itself."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from server.keys.live import LiveKeys

POLL_SECONDS = 2.0


@asynccontextmanager
async def watched(keys: LiveKeys) -> AsyncIterator[None]:
    """While it is open, `keys` follow their file."""
    if not keys.have_file:
        yield
        return
    loop = asyncio.get_running_loop()
    # In a thread, both: a file of ten thousand keys takes a while to read.
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, keys.reload))
    polling = asyncio.create_task(_poll(keys))
    try:
        yield
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        loop.remove_signal_handler(signal.SIGHUP)


async def _poll(keys: LiveKeys) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await asyncio.to_thread(keys.reload_if_changed)
