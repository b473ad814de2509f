"""A scripted engine whose replies are long in seconds, and little work."""

import asyncio

from server.engine.scripted import ScriptedEngine
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, wants

MAX_MODEL_LEN = 100_000
STEP_SECONDS = 0.01


class PacedEngine(ScriptedEngine):
    """A scripted engine that leaves the processor to others between two steps."""

    async def _run(self) -> None:
        while self._rows:
            self._step()
            await asyncio.sleep(STEP_SECONDS)


def make_paced_engine(text: str) -> PacedEngine:
    """Return an engine that writes `text`."""
    return PacedEngine(
        wants(text),
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=MAX_MODEL_LEN,
    )
