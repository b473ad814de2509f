"""Claims: the values of a request's thinking fields, one by one, before they are compared."""

from dataclasses import dataclass
from enum import Enum

from thinking.budget import Effort


class ClaimKind(Enum):
    """Subject of a field."""

    TOKENS = "tokens"  # int: maximum of hidden tokens
    SHARE = "share"  # float: the same, as a share of the reply's limit
    EFFORT = "effort"  # Effort
    SWITCH = "switch"  # bool: think or not
    SHOW = "show"  # bool: whether the client wants to see the thought
    SECONDS = "seconds"  # int or float: longest total time of a choice's thoughts
    WRAP_UP = "wrap_up"  # str: text that ends a thought which was cut


ClaimValue = int | float | bool | str | Effort


@dataclass(frozen=True, slots=True)
class Claim:
    """Value of a field that is set; `path` is its path in the body."""

    path: str
    kind: ClaimKind
    value: ClaimValue
