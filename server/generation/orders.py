"""An order to a running choice: a command that has not taken effect yet, and what became of it.

Knows neither who gives an order nor how it is carried out.
"""

import asyncio
from dataclasses import dataclass, field

from thinking.command import CommandAction, ThoughtCommand
from thinking.phase import StopCause


class OrderRefusedError(Exception):
    """Base class of the reasons for which an order is not carried out; nothing has changed."""


class NotRunningError(OrderRefusedError):
    """The choice has ended."""


class NotThinkingError(OrderRefusedError):
    """No thought is running that could still change."""


class NoPlaceError(OrderRefusedError):
    """A search is writing several thoughts, so there is no one place for the caller's words."""


class TextTooLongError(OrderRefusedError):
    """The caller's words do not fit; `room` is the number of tokens that would."""

    def __init__(self, room: int) -> None:
        super().__init__(f"{room} tokens would fit")
        self.room = room


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """A choice just after an order has taken effect; counts are tokens."""

    used: int
    budget: int


@dataclass(eq=False, slots=True)
class Order:
    """Change to be made; see :class:`thinking.command.ThoughtCommand` for the counts.

    `words` are the tokens of an ADD, `text` is what they say. `outcome` is set when the order has
    been carried out or refused; whoever waits for it may cancel it, and the order is then dropped.
    """

    action: CommandAction
    num_tokens: int = 0
    num_reply_tokens: int = 0
    words: tuple[int, ...] = ()
    text: str = ""
    cause: StopCause = StopCause.CALLER
    outcome: "asyncio.Future[OrderOutcome]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def is_dropped(self) -> bool:
        """True if nobody waits for the outcome any more."""
        return self.outcome.cancelled()

    def to_command(self, after: int) -> ThoughtCommand:
        """Return the command that takes effect after `after` tokens of the reply."""
        num_tokens = len(self.words) if self.action is CommandAction.ADD else self.num_tokens
        return ThoughtCommand(after, self.action, num_tokens, self.num_reply_tokens, self.cause)

    def resolve(self, outcome: OrderOutcome) -> None:
        """Set the outcome of an order that has taken effect."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def refuse(self, error: OrderRefusedError) -> None:
        """Set the reason for which the order was not carried out."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # it may be that nobody waits for it
