"""Records of measurements, and the journal that they are appended to as they come.

A stage that is stopped loses only what it had not measured yet. Knows no targets and no tables.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LAW_BROKEN = "LAW BROKEN"  # begins the reason of such a problem


@dataclass(frozen=True, slots=True)
class Fact:
    """Property of the machine or of an engine: a version, the runner that was used."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Case without a figure, and why: failed, refused, skipped, or a law that did not hold."""

    case: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of a sampler's step, in microseconds.

    `device_us` and its tenth and ninetieth percentile are measured by the device's events, with
    the device kept busy before the step so that the host's launching is not in them. `host_us`
    is how long the host took to launch the step. On a CPU both are wall-clock time. `kernels`
    counts kernels, copies and fills of a step; None where it was not counted.
    """

    side: str  # "ours", "vLLM"
    option: str  # "a budget", "no plan", …
    rows: int
    tokens: int
    device_us: float
    low_us: float
    high_us: float
    host_us: float
    kernels: float | None
    waits: bool | None  # whether the host waited for the device; None: not checked


@dataclass(frozen=True, slots=True)
class Round:
    """Timed round of a crowd of requests of one side.

    `acceptance` is the share of drafted tokens that were accepted; `first_seconds` the median
    time to the first text of a streamed answer. None where that does not apply.
    """

    stage: str
    side: str
    at_once: int
    tokens_per_second: float
    first_seconds: float | None = None
    acceptance: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Laws that were checked on a number of replies and held."""

    stage: str
    law: str
    replies: int


Record = Fact | Problem | StepTime | Round | Check
KINDS: dict[str, type[Record]] = {
    kind.__name__: kind for kind in (Fact, Problem, StepTime, Round, Check)
}


class Journal:
    """File of records, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Record) -> None:
        """Write the record to the file and to standard output."""
        line = json.dumps({"kind": type(record).__name__, **asdict(record)})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        print(line, flush=True)


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the records of a journal; nothing if there is no file.

    A last line that was cut off, because the process was killed while writing it, is left out.
    """
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        yield KINDS[fields.pop("kind")](**fields)
