"""How a request ended, as its client saw it. Records: nothing is asked or judged here."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """One of these a request; all but the last two are as they should be."""

    FINISHED = "finished"  # the whole reply came, with a receipt that keeps the laws
    REFUSED = "refused"  # 429 or 503 before anything was generated
    REJECTED = "rejected"  # a 4xx, and the body was bad
    TOLD = "told"  # it was accepted, failed, and its client was told: an error, or an error event
    LEFT = "left"  # the client hung up
    UNREACHED = "unreached"  # no connection: the server was being restarted
    LOST = "lost"  # it was accepted, and ended without a word
    WRONG = "wrong"  # an answer that it should not have had


@dataclass(slots=True)
class Tally:
    """What came of all requests; `faults` says more of those that went wrong."""

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
        """All requests."""
        return self.outcomes.total()

    @property
    def num_accepted(self) -> int:
        """Those for which something was to be generated."""
        kinds = (Outcome.FINISHED, Outcome.TOLD, Outcome.LEFT, Outcome.LOST)
        return sum(self.outcomes[kind] for kind in kinds)
