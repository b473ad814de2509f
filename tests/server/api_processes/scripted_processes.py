"""Several API processes that serve a scripted engine each, as the command line would start them.

Arguments: the text that the engine writes. Options come from the environment.
"""

import sys
from collections.abc import Sequence
from functools import partial

from server.process.parent_watch import watch_parent
from server.serve import run_with
from server.settings.settings import ServerSettings
from server.state import LoadedModel


async def load(text: str) -> Sequence[LoadedModel]:
    """Return the engine."""
    # The main process does without it.
    from tests.server.api_processes.paced_engine import make_paced_engine

    return [LoadedModel(make_paced_engine(text))]


watch_parent()  # as the entry point does
if __name__ == "__main__":
    sys.exit(run_with(ServerSettings(), partial(load, "".join(sys.argv[1:]))))
