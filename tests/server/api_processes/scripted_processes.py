"""Several API processes that serve a scripted engine each, as the command line would start them.

Arguments: the text that the engine writes. Options come from the environment.
"""

import sys
from functools import partial
from typing import TYPE_CHECKING

from server.process.parent_watch import watch_parent
from server.serve import run_with
from server.settings.settings import ServerSettings

if TYPE_CHECKING:
    from server.engine.protocol import Engine


async def load(text: str) -> "Engine":
    """Return the engine."""
    # The main process does without it.
    from tests.server.api_processes.paced_engine import make_paced_engine

    return make_paced_engine(text)


watch_parent()  # as the entry point does
if __name__ == "__main__":
    sys.exit(run_with(ServerSettings(), partial(load, "".join(sys.argv[1:]))))
