"""Environment variables that vLLM and the hub's client read on import.

Set before either is imported, and only where the operator has not set them. Does not
import anything that would defeat that.
"""

import os
from pathlib import Path

DEFAULTS = {
    # Nothing is sent home.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # A CPU start has a dozen warnings that ask nothing of anyone. INFO shows the start.
    "VLLM_LOGGING_LEVEL": "ERROR",
}


# The engine's processes write the same form as ours.
VLLM_JSON_LOGGING = Path(__file__).parents[1] / "logs" / "vllm_logging.json"


def set_process_defaults(*, needs_hub: bool, logs_json: bool = False) -> None:
    """Set what is not set yet."""
    if logs_json:
        os.environ.setdefault("VLLM_LOGGING_CONFIG_PATH", str(VLLM_JSON_LOGGING))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not needs_hub:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
