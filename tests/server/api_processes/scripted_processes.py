"""Several API processes that serve a scripted engine each, as the command line would start them.

Arguments: the text that the engine writes. Options come from the environment.
"""

import asyncio
import sys
from functools import partial

from server.engine.protocol import Engine
from server.engine.scripted import ScriptedEngine
from server.process.parent_watch import watch_parent
from server.serve import run_with
from server.settings.settings import ServerSettings
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, wants

MAX_MODEL_LEN = 100_000
# A token, so that a reply is long in seconds and not in work.
STEP_SECONDS = 0.002


class PacedEngine(ScriptedEngine):
    """A scripted engine that leaves the processor to others."""

    async def _run(self) -> None:
        while self._rows:
            self._step()
            await asyncio.sleep(STEP_SECONDS)


async def load(text: str) -> Engine:
    """Return the engine."""
    return PacedEngine(
        wants(text),
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=MAX_MODEL_LEN,
    )


watch_parent()  # as the entry point does
if __name__ == "__main__":
    sys.exit(run_with(ServerSettings(), partial(load, "".join(sys.argv[1:]))))
