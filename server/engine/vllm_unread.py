"""vLLM's engine for readers that leave: what they have not read of a hidden thought is kept.

Hidden tokens wait in the engine's process (:mod:`server.engine.vllm_scheduler`). Where vLLM aborts
a request because its reader has left, they are taken from there first: they are generated, and so
counted.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from server.engine.protocol import EngineRequest
from server.engine.vllm_scheduler import TAKE_WAITING

TAKE_SECONDS = 5.0  # an engine answers between two steps


class UnreadKeepingLLM(AsyncLLM):
    """``AsyncLLM`` that keeps the unread tokens of requests whose reader leaves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gathered: set[str] = set()  # requests of which tokens may wait, by their own ids
        self._unread: dict[str, list[int]] = {}

    @contextmanager
    def keep_unread(self, request: EngineRequest) -> Iterator[None]:
        """Keep what waits of `request` if its reader leaves meanwhile."""
        if request.gathering is None:
            yield
            return
        self._gathered.add(request.request_id)
        try:
            yield
        finally:
            self._gathered.discard(request.request_id)

    def take_unread(self, request_id: str) -> Sequence[int]:
        """See :meth:`server.engine.protocol.Engine.take_unread`."""
        return self._unread.pop(request_id, ())

    async def abort(self, request_id: str | Iterable[str], internal: bool = False) -> None:
        """Abort requests; `internal` is true where their reader has left (vLLM 0.32)."""
        if internal and isinstance(request_id, str):
            await self._fetch_unread(request_id)
        await super().abort(request_id, internal)

    async def _fetch_unread(self, internal_id: str) -> None:
        state = self.output_processor.request_states.get(internal_id)
        if state is None or state.external_req_id not in self._gathered:
            return
        # An engine that has died does not answer.
        with suppress(TimeoutError, EngineDeadError):
            async with asyncio.timeout(TAKE_SECONDS):
                parts = await self.engine_core.call_utility_all_async(TAKE_WAITING, internal_id)
                # Only the engine that has the request knows of it.
                self._unread[state.external_req_id] = [*chain.from_iterable(parts)]
