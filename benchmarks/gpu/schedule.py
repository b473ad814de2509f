"""Stages in the order of their worth, and the division of a limited time among them.

Knows how long a stage usually takes on one H100-sized card, not what it does. There (2026-11-28)
the first stage took 86 s, an engine 33 s to start (with torch.compile 115, for which the least time
of its stage is too short), a server 65.
"""

from collections.abc import Sequence
from dataclasses import dataclass

UNLIMITED_SECONDS = 1800.0  # of a stage, if the run as a whole has no limit


@dataclass(frozen=True, slots=True)
class Stage:
    """Stage of the benchmark.

    Below `least_seconds` it would probably yield nothing (two engines have to start);
    `usual_seconds` are enough for all of its cases.
    """

    name: str
    about: str
    least_seconds: float
    usual_seconds: float


# By worth: the first number that an operator asks for comes first.
STAGES = (
    Stage("step", "a step of the sampler, beside vLLM's own budget", 60, 100),
    Stage("engine", "tokens a second of the engine", 150, 360),
    Stage("server", "our server beside vLLM's", 180, 300),
    Stage("speculative", "n-gram drafts, with and without a budget", 120, 180),
)


def find_stage(name: str) -> Stage:
    """Return the stage called `name`.

    Raises:
        ValueError: there is none.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ValueError(f"{name!r} is none of {', '.join(stage.name for stage in STAGES)}")


def divide(stages: Sequence[Stage], seconds: float | None) -> dict[str, float]:
    """Return the seconds of each stage that is to run, by name, in the order given.

    A stage that no longer fits is left out, and so a later one that needs less may run. Time
    beyond the least goes to the first stages, up to their usual time; what then remains goes to
    the last, since the stages before it may need it and the division is repeated after each.
    """
    if seconds is None:
        return {stage.name: UNLIMITED_SECONDS for stage in stages}
    chosen: list[Stage] = []
    for stage in stages:
        if sum(other.least_seconds for other in chosen) + stage.least_seconds <= seconds:
            chosen.append(stage)
    spare = seconds - sum(stage.least_seconds for stage in chosen)
    result = {}
    for stage in chosen:
        extra = min(spare, stage.usual_seconds - stage.least_seconds)
        result[stage.name] = stage.least_seconds + extra
        spare -= extra
    if chosen:
        result[chosen[-1].name] += spare
    return result
