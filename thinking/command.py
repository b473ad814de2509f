"""Changes to the thinking of a reply that is running, as plain data.

A command takes effect between two tokens. Whoever replays the reply applies it at the same place,
so a plan that continues a reply carries the commands that it was given. Knows neither who gave a
command nor what it does to a state: that is in ``thinking.tracker``.
"""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from thinking.phase import StopCause


class CommandAction(Enum):
    """Kinds of command."""

    END = "end"  # closes the running thought and allows no further one
    EXTEND = "extend"  # raises the budget
    ADD = "add"  # the tokens that follow are the caller's words, inside the thought


@dataclass(frozen=True, slots=True)
class ThoughtCommand:
    """A command that takes effect after `after` tokens of the reply; all counts are tokens.

    `num_tokens` is what EXTEND adds to the budget, and the length of what ADD puts into the
    thought. `num_reply_tokens` is what EXTEND adds to the length of the whole reply. `cause` is
    the stop cause of a thought that END closes.
    """

    after: int
    action: CommandAction
    num_tokens: int = 0
    num_reply_tokens: int = 0
    cause: StopCause = StopCause.CALLER

    @property
    def until(self) -> int:
        """Number of the reply's tokens after which the command has taken effect completely."""
        return self.after + (self.num_tokens if self.action is CommandAction.ADD else 0)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict that survives msgpack."""
        return asdict(self) | {"action": self.action.value, "cause": self.cause.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ThoughtCommand":
        """Build a command from the result of :meth:`to_dict`.

        Raises:
            ValueError: the action or the cause is unknown.
        """
        action, cause = CommandAction(data["action"]), StopCause(data["cause"])
        return cls(**{**data, "action": action, "cause": cause})


def check_commands(commands: tuple[ThoughtCommand, ...], num_prior_tokens: int) -> None:
    """Raise ValueError unless `commands` are in order and lie within the reply's prior tokens."""
    place = 0
    for command in commands:
        if command.num_tokens < 0 or command.num_reply_tokens < 0:
            raise ValueError("thinking plan: a command has a negative number of tokens")
        if command.after < place:
            raise ValueError("thinking plan: commands are out of order")
        place = command.until
    if place > num_prior_tokens:
        raise ValueError("thinking plan: a command lies behind the prior tokens")
