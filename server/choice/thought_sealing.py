"""Functions of a request that wants its thoughts sealed. A record; seals nothing itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinking.earlier_thought import KeptThought
from thinking.receipt import Receipt


@dataclass(frozen=True, slots=True)
class ThoughtSealing:
    """Functions of one reply.

    `seal` returns a choice's thought, up to its cut, as text for the client; `keep` gets the
    receipts of all choices when the reply has ended, or its client has left.
    """

    seal: Callable[[KeptThought], str | None]
    keep: Callable[[Sequence[Receipt]], None]
