"""What a request's fields say about thinking, one by one, before they are compared."""

from dataclasses import dataclass
from enum import Enum

from thinking.budget import Effort


class ClaimKind(Enum):
    """What a field is about."""

    TOKENS = "tokens"  # int: most hidden tokens
    SHARE = "share"  # float: the same, as a share of the reply's limit
    EFFORT = "effort"  # Effort
    SWITCH = "switch"  # bool: think or not
    SHOW = "show"  # bool: whether the client wants to see the thought
    SECONDS = "seconds"  # int or float: longest time of a choice's thoughts
    WRAP_UP = "wrap_up"  # str: text that ends a thought which was cut


ClaimValue = int | float | bool | str | Effort


@dataclass(frozen=True, slots=True)
class Claim:
    """One field that said something; `path` is where it stands in the body."""

    path: str
    kind: ClaimKind
    value: ClaimValue
