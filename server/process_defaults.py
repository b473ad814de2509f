"""Environment variables that vLLM and the hub's client read on import.

Set before either is imported, and only where the operator has not set them. Does not
import anything that would defeat that.
"""

import os
from pathlib import Path

from server.embedded import EMBEDDED_MODELS

DEFAULTS = {
    # Nothing is sent home.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # A CPU start has a dozen warnings that ask nothing of anyone. INFO shows the start.
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def set_process_defaults(model: str | None) -> None:
    """Set what is not set yet; `model` as the operator named it."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not _may_need_hub(model):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _may_need_hub(model: str | None) -> bool:
    return not (
        model is None or model.lower() in EMBEDDED_MODELS or Path(model).expanduser().is_dir()
    )
