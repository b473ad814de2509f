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


# The engine's processes write the same form as ours.
VLLM_JSON_LOGGING = Path(__file__).parent / "logs" / "vllm_logging.json"


def set_process_defaults(model: str | None, *, logs_json: bool = False) -> None:
    """Set what is not set yet; `model` as the operator named it."""
    if logs_json:
        os.environ.setdefault("VLLM_LOGGING_CONFIG_PATH", str(VLLM_JSON_LOGGING))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not _may_need_hub(model):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _may_need_hub(model: str | None) -> bool:
    return not (
        model is None or model.lower() in EMBEDDED_MODELS or Path(model).expanduser().is_dir()
    )
