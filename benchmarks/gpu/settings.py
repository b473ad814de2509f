"""Settings of one run: the model, the device, the sizes, and where results go.

The parent process writes them to a file that each stage's process reads. Knows no stage.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Device = Literal["cuda", "cpu"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the cases; the first of each tuple is worth most, and is measured first."""

    rows: tuple[int, ...]
    lengths: tuple[int, ...]  # tokens of thought before the measured steps
    num_steps: int
    requests: tuple[int, ...]
    chats: tuple[int, ...]
    max_tokens: int
    budget: int
    rounds: int


SIZES: dict[Device, Sizes] = {
    "cuda": Sizes(
        rows=(256, 1, 64, 1024),
        lengths=(8000, 100, 100_000),
        num_steps=50,
        requests=(256, 32, 1),
        chats=(64, 256),
        max_tokens=256,
        budget=128,
        rounds=5,
    ),
    # For trials: they show that everything runs, not how fast a GPU is.
    "cpu": Sizes(
        rows=(4, 1),
        lengths=(100, 300),
        num_steps=5,
        requests=(4, 1),
        chats=(4,),
        max_tokens=32,
        budget=12,
        rounds=2,
    ),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a stage needs to know.

    `model` is a folder or hub id; `has_weights` is false for the random model, whose weights
    vLLM draws. `memory_share` is the part of the card that each of two engines may take.
    """

    model: str
    output: Path
    device: Device = "cuda"
    has_weights: bool = False
    memory_share: float = 0.4
    engine_options: dict[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> Sizes:
        """Sizes of the cases on this device."""
        return SIZES[self.device]

    @property
    def is_cpu(self) -> bool:
        """True for a trial without a GPU."""
        return self.device == "cpu"

    def write(self, path: Path) -> None:
        """Write the settings to `path`, for :func:`read_settings`."""
        path.write_text(json.dumps(asdict(self) | {"output": str(self.output)}))


def read_settings(path: Path) -> Settings:
    """Return the settings that :meth:`Settings.write` wrote."""
    data = json.loads(path.read_text())
    return Settings(**{**data, "output": Path(data["output"])})


def set_runner_environment(settings: Settings) -> None:
    """Choose vLLM's runner; to be called before vLLM is imported.

    On a GPU V2 is requested: vLLM would otherwise choose V1 without an error where a model or an
    option is not supported by V2, and the figures would be those of another adapter.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0" if settings.is_cpu else "1")
    if settings.is_cpu:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


class Deadline:
    """End of a stage's time: no case is begun that would probably not end before it."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Seconds until the end, at least 0."""
        return max(0.0, self._until - time.monotonic())

    def has(self, seconds: float) -> bool:
        """Return whether `seconds` are left."""
        return self.seconds_left >= seconds
