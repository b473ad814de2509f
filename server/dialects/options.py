"""``thinking_options`` of a body, as protocols. Does not know the body classes."""

from typing import Protocol

from server.dialects.gates import NativeSegments
from server.dialects.strategies import NativeStrategy


class NativeLoopGuard(Protocol):
    """``thinking_options.loop_guard`` as an object."""

    @property
    def enabled(self) -> bool:
        """False if a thought may repeat itself."""

    @property
    def max_period(self) -> int:
        """Longest period, in tokens."""

    @property
    def min_repeats(self) -> int:
        """Number of repetitions that make a loop."""

    @property
    def min_tokens(self) -> int:
        """Number of tokens that the repetitions must cover."""


class NativeSampling(Protocol):
    """``thinking_options.sampling``; a field that is None is the answer's."""

    @property
    def temperature(self) -> float | None:
        """Temperature of a thought; 0: the likeliest token."""

    @property
    def top_p(self) -> float | None:
        """Probability that the kept tokens have together."""

    @property
    def top_k(self) -> int | None:
        """Number of kept tokens; 0 or -1: all."""

    @property
    def min_p(self) -> float | None:
        """Least probability of a kept token, as a share of the likeliest one's."""


class NativeOptions(NativeSegments, Protocol):
    """``thinking_options`` of a body."""

    @property
    def answer_reserve(self) -> int | None:
        """Tokens kept for the answer."""

    @property
    def grace(self) -> int | float | None:
        """Last part of a budget, as tokens or a share, in which a thought ends at a boundary."""

    @property
    def wrap_up(self) -> str | None:
        """Text that ends a thought which was cut."""

    @property
    def continuation(self) -> str | None:
        """Text that replaces an end of the thought that comes too early."""

    @property
    def loop_guard(self) -> NativeLoopGuard | None:
        """Loop guard; None: the default."""

    @property
    def early_exit(self) -> float | None:
        """Probability of the end marker above which a thought may end early."""

    @property
    def sampling(self) -> NativeSampling | None:
        """Sampling of thoughts; None: as the answer."""

    @property
    def kind(self) -> str | None:
        """Kind of the thought, a value of ``ThoughtKind``."""

    @property
    def strategy(self) -> NativeStrategy | None:
        """Search over thoughts; None: a single thought."""
