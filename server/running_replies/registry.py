"""The replies that are running, by the id that their clients know.

Entered when a reply is planned and left when its request has ended, however it ends. Knows no
wire format, and does not know what may be done to a reply.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from server.account.account import RequestAccount
from server.generation.governing import ChoiceGovernor


@dataclass(eq=False, slots=True)
class RunningReply:
    """A reply, with the governor of each of its choices in order.

    `account` is that of the request that began it. `turns` lets one order be weighed at a time.
    `num_reserved` counts the tokens of thought for which quotas are reserved.
    """

    reply_id: str
    account: RequestAccount
    governors: list[ChoiceGovernor] = field(default_factory=list)
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    num_reserved: int = 0

    @property
    def is_over(self) -> bool:
        """True once all choices have ended."""
        return all(governor.is_over for governor in self.governors)


class RunningReplies:
    """All running replies of this process."""

    def __init__(self) -> None:
        self._by_id: dict[str, RunningReply] = {}
        self._by_request: dict[str, RunningReply] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids of all running replies."""
        return iter(self._by_id)

    def enter(
        self, reply_id: str, account: RequestAccount, governors: Sequence[ChoiceGovernor]
    ) -> None:
        """Add the choices of a reply; those of one that is known already are added to it.

        They leave at the end of `account`.
        """
        reply = self._by_id.get(reply_id)
        if reply is None:
            reply = self._by_id[reply_id] = RunningReply(reply_id, account)
            self._by_request[account.request_id] = reply
            account.at_end.callback(self._leave, reply)
        reply.governors += governors
        reply.num_reserved += sum(governor.outcome.budget for governor in governors)

    def find(self, reply_id: str, key_id: str) -> RunningReply | None:
        """Return a reply that this key has begun and that has not ended.

        `reply_id` may also be the id of the request (``x-request-id``): the client of a reply that
        is not streamed knows no other.
        """
        reply = self._by_id.get(reply_id) or self._by_request.get(reply_id)
        if reply is None or reply.account.key.key_id != key_id or reply.is_over:
            return None
        return reply

    def _leave(self, reply: RunningReply) -> None:
        del self._by_id[reply.reply_id]
        if self._by_request.get(reply.account.request_id) is reply:
            del self._by_request[reply.account.request_id]
        for governor in reply.governors:
            governor.close()
