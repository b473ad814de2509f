"""The turn that a request names. A record; knows no field of a body and no storage."""

import hashlib
from dataclasses import dataclass

BUDGET_FIELD = "thinking_options.turn.budget"


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A turn and its budget, in tokens.

    `budget_field` is the body's name for the budget, for errors. `used_before` is what the client
    says the turn has used already; it counts if this request is the turn's first. `ceiling` limits
    this request alone. A task (`is_task`) has an id that this server has made, which no client's
    own id equals, and counts answers too.
    """

    turn_id: str
    budget: int
    budget_field: str = BUDGET_FIELD
    used_before: int = 0
    ceiling: int | None = None
    is_task: bool = False

    def limit(self, num_tokens: int) -> int:
        """Return how many of `num_tokens` this request may reserve."""
        return num_tokens if self.ceiling is None else min(num_tokens, self.ceiling)

    def name_for(self, key_id: str) -> str:
        """Return the turn's name in the storage; see :func:`name_turn`."""
        return name_turn(key_id, self.turn_id, is_task=self.is_task)


def name_turn(key_id: str, turn_id: str, *, is_task: bool = False) -> str:
    """Return the name under which the storage keeps a turn of a key.

    The id is the client's own text, of any length: the name contains its hash. The braces keep the
    turns of a key on one node of a Redis cluster.
    """
    digest = hashlib.sha256(turn_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{'task' if is_task else 'turn'}/{{{key_id}}}/{digest}"
