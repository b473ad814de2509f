"""Triggers checks of the key file: every few seconds, and on SIGHUP. Reads no file itself."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from server.keys.live import LiveKeys

POLL_SECONDS = 2.0


@asynccontextmanager
async def watch_keys(keys: LiveKeys) -> AsyncIterator[None]:
    """Keep `keys` up to date with their file inside the context, and reload them on SIGHUP."""
    if not keys.have_file:
        yield
        return
    loop = asyncio.get_running_loop()
    # Both reload in a thread: a file of ten thousand keys takes a while to read.
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, keys.reload))
    try:
        async with poll_keys(keys):
            yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


@asynccontextmanager
async def poll_keys(keys: LiveKeys) -> AsyncIterator[None]:
    """Keep `keys` up to date with their file inside the context; signals are the caller's."""
    if not keys.have_file:
        yield
        return
    polling = asyncio.create_task(_reload_again_and_again(keys))
    try:
        yield
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


async def _reload_again_and_again(keys: LiveKeys) -> None:
    """Reload `keys` whenever their file has changed, until cancelled."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await asyncio.to_thread(keys.reload_if_changed)
