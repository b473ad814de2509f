"""Defaults for environment variables that vLLM and the hub's client read on import.

They are set before either is imported, and only if the operator has not set them. Imports nothing
that would import either.
"""

import os
from pathlib import Path

DEFAULTS = {
    # No usage statistics are sent.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # Starting on a CPU logs a dozen warnings that require no action. INFO shows the start.
    "VLLM_LOGGING_LEVEL": "ERROR",
}


# Gives the log of the engine's processes the same format as the server's.
VLLM_JSON_LOGGING = Path(__file__).parents[1] / "logs" / "vllm_logging.json"


def set_process_defaults(*, needs_hub: bool, logs_json: bool = False) -> None:
    """Set the variables that are not set yet."""
    if logs_json:
        os.environ.setdefault("VLLM_LOGGING_CONFIG_PATH", str(VLLM_JSON_LOGGING))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not needs_hub:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
