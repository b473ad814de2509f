"""The sampling parameters of a thought, where they are not those of its answer.

Records, and their form in ``SamplingParams.extra_args``. Does not know how they are applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SAMPLING_KEY = "sampling_by_phase"  # in `SamplingParams.extra_args`
# As in vLLM, which raises smaller temperatures to this one, and takes those near 0 for 0.
MIN_TEMPERATURE = 0.01
GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class PhaseSampling:
    """Sampling parameters of the tokens of one phase; see :func:`make_phase_sampling`.

    `temperature` 0 takes the likeliest token, and the others then exclude none. `top_k` 0 is all.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    @property
    def is_greedy(self) -> bool:
        """True if the likeliest token is taken."""
        return self.temperature == 0.0


GREEDY = PhaseSampling(temperature=0.0)


def make_phase_sampling(
    temperature: float, top_p: float, top_k: int, min_p: float
) -> PhaseSampling:
    """Return parameters as vLLM would understand them, so that equal ones sample alike.

    Raises:
        ValueError: a value is out of its range.
    """
    if not (temperature >= 0 and 0 < top_p <= 1 and 0 <= min_p <= 1):
        raise ValueError("sampling: a value is out of its range")
    if temperature < GREEDY_BELOW:
        return GREEDY
    return PhaseSampling(max(temperature, MIN_TEMPERATURE), top_p, max(0, top_k), min_p)


@dataclass(frozen=True, slots=True)
class SamplingByPhase:
    """Sampling parameters of a request's thoughts, and those of its answer."""

    thought: PhaseSampling
    answer: PhaseSampling

    def choose(self, *, thinking: bool) -> PhaseSampling:
        """Return the parameters of the next token, which is part of a thought or not."""
        return self.thought if thinking else self.answer

    def to_extra_args(self) -> dict[str, Any]:
        """Return what a request has in ``extra_args``; its own parameters then change nothing."""
        return {SAMPLING_KEY: [_to_list(self.thought), _to_list(self.answer)]}


def read_sampling_by_phase(extra_args: Mapping[str, Any] | None) -> SamplingByPhase | None:
    """Return what :meth:`SamplingByPhase.to_extra_args` wrote; None: one sampling for all tokens.

    Raises:
        ValueError: it did not write this.
    """
    values = (extra_args or {}).get(SAMPLING_KEY)
    if values is None:
        return None
    try:
        thought, answer = (make_phase_sampling(*phase) for phase in values)
    except (TypeError, ValueError):
        raise ValueError(f"{SAMPLING_KEY}: should be two lists of four numbers") from None
    return SamplingByPhase(thought, answer)


def _to_list(phase: PhaseSampling) -> Sequence[float]:
    return [phase.temperature, phase.top_p, phase.top_k, phase.min_p]
