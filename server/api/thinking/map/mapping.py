"""Reads all positions of a text concurrently, up to the server's limit.

All positions' prefixes are beginnings of the same text. So the engine's prefix cache does for them
what the diagonal mask of Quiet-STaR (arXiv 2403.09629, section 4.2) does in training: the text is
processed once, in whole blocks of the cache. Does not know how a position is read.
"""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal

from server.account.account import RequestAccount
from server.api.thinking.map.job import MapJob
from server.api.thinking.map.reading import Position, PositionReader, TokenTally
from server.model.served_model import ServedModel


class MapRun:
    """Map in progress. `tally` grows while the positions are read; `cost` is known at its end."""

    def __init__(
        self, model: ServedModel, job: MapJob, slots: asyncio.Semaphore, account: RequestAccount
    ) -> None:
        self.job = job
        self.tally = TokenTally()
        self.cost: Decimal | None = None
        self._reader = PositionReader(model, job, self.tally)
        self._slots = slots
        self.account = account

    @property
    def num_prompt_tokens(self) -> int:
        """Number of tokens of the text and of the prompt before it, each counted once."""
        return len(self.job.text.prompt_token_ids) + len(self.job.text.token_ids)

    async def read_positions(self) -> AsyncGenerator[Position, None]:
        """Yield the positions as they finish. Closing the generator aborts the others.

        Raises:
            EngineError: a position failed; the others are aborted.
        """
        self.account.observe_start(self.num_prompt_tokens)
        tasks: list[asyncio.Task[Position]] = []
        try:
            num_positions = len(self.job.text.token_ids)
            tasks = [asyncio.create_task(self._read(index)) for index in range(num_positions)]
            for finished in asyncio.as_completed(tasks):
                yield await finished
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._count()

    async def _read(self, index: int) -> Position:
        """Read a position in a slot: its engine requests run one at a time."""
        async with self._slots:
            return await self._reader.read(index)

    def _count(self) -> None:
        tally = self.tally
        self.account.observe_tokens(
            reasoning=tally.reasoning, answer=tally.answer, injected=tally.injected
        )
