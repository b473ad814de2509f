"""Real engines elsewhere: stock vLLM API servers that give tokens only, with our sampler."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.hub.model_resolution import resolve_model
from tests.e2e.process import Server, free_port, started_process

# The plugin comes from the environment. V2 needs Triton.
COMMAND = ("-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--tokens-only")
OPTIONS = ("--enforce-eager", "--enable-prompt-tokens-details", "--dtype", "float32")


@contextmanager
def started_engine(
    log_path: Path, model: str = "thinker", arguments: Sequence[str] = (), port: int | None = None
) -> Iterator[Server]:
    """Start an engine, on a free port where none is named; it may still be loading."""
    port = port or free_port()
    folder = resolve_model(model).path_or_hub_id
    command = [sys.executable, *COMMAND, "--port", str(port), "--model", folder, *OPTIONS]
    with started_process([*command, *arguments], port, log_path) as running:
        yield running
