"""Outcomes of requests, as their clients saw them. Holds records only."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """Outcome of one request; all but the last two are expected."""

    FINISHED = "finished"  # the whole reply came, with a receipt that keeps the laws
    REFUSED = "refused"  # 429 or 503 before anything was generated
    REJECTED = "rejected"  # a 4xx, and the body was bad
    FAILED = "failed"  # accepted, then an error or an error event for the client
    DISCONNECTED = "disconnected"  # by the client
    UNREACHABLE = "unreachable"  # no connection: the server was being restarted
    LOST = "lost"  # accepted, and ended without any message
    WRONG = "wrong"  # an incorrect response


@dataclass(slots=True)
class Tally:
    """Counts of all outcomes; `faults` describes those that are lost or wrong."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    by_kind: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    num_reasoning_tokens: int = 0
    num_answer_tokens: int = 0
    first_token_seconds: list[float] = field(default_factory=list)

    def add(self, kind: str, outcome: Outcome, detail: str = "") -> None:
        """Count one request of a client of `kind`."""
        self.outcomes[outcome] += 1
        self.by_kind[kind, outcome] += 1
        if outcome in (Outcome.LOST, Outcome.WRONG):
            self.faults.append(f"{kind}: {outcome.value}: {detail}")

    @property
    def num_sent(self) -> int:
        """Number of all requests."""
        return self.outcomes.total()

    @property
    def num_accepted(self) -> int:
        """Number of requests for which something was to be generated."""
        kinds = (Outcome.FINISHED, Outcome.FAILED, Outcome.DISCONNECTED, Outcome.LOST)
        return sum(self.outcomes[kind] for kind in kinds)
