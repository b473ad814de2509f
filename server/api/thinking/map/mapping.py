"""Reading all positions of a text, in parallel, under the server's bound.

The positions' prefixes are the beginnings of one text, so the engine's prefix cache does
for them what the diagonal mask of Quiet-STaR (arXiv 2403.09629, section 4.2) does in
training: the text is read once, in whole blocks of the cache.
"""

import asyncio
from collections.abc import AsyncGenerator

from server.account.account import RequestAccount
from server.api.thinking.map.job import MapJob
from server.api.thinking.map.reading import Position, PositionReader, TokenTally
from server.model.served_model import ServedModel


class MapRun:
    """One map on its way. `tally` grows while the positions are read."""

    def __init__(
        self, model: ServedModel, job: MapJob, slots: asyncio.Semaphore, account: RequestAccount
    ) -> None:
        self.job = job
        self.tally = TokenTally()
        self._reader = PositionReader(model, job, self.tally)
        self._slots = slots
        self.account = account

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens that were given: what stands before the text, and the text; each once."""
        return len(self.job.text.prompt_token_ids) + len(self.job.text.token_ids)

    async def read_positions(self) -> AsyncGenerator[Position, None]:
        """The positions, as they are finished. Closing the generator aborts the others.

        Raises:
            EngineError: one position failed, and the others were given up.
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
        """One engine request at a time: a slot is one."""
        async with self._slots:
            return await self._reader.read(index)

    def _count(self) -> None:
        tally = self.tally
        self.account.observe_tokens(
            reasoning=tally.reasoning, answer=tally.answer, injected=tally.injected
        )
