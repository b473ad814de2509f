"""Link between a request that came over a socket and its socket; requests over HTTP have none.

Knows neither the messages of a socket nor its connection.
"""

from dataclasses import dataclass

from fastapi import Request

from server.account.account import get_account
from server.reply.reply import Reply
from server.state import get_services
from server.stored_responses.memory import MemoryResponses
from server.stored_responses.store import KeyResponses
from server.stored_responses.stored import StoredResponse

STATE = "socket_link"


@dataclass(eq=False, slots=True)
class SocketLink:
    """Link between a request and its socket.

    `unstored` keeps the connection's responses that are not stored. `generates` is false for a
    request that is only made ready. `reply` is set once the request is admitted.
    """

    unstored: MemoryResponses
    generates: bool = True
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class SocketResponses(KeyResponses):
    """Responses of one key as a socket sees them: those of its connection that are not stored too.

    They last as long as the connection, and nobody else can read them.
    """

    unstored: MemoryResponses

    async def put(self, stored: StoredResponse) -> None:
        """Store a finished response, or keep it for the connection."""
        store = self.store if stored.response["store"] else self.unstored
        await store.put(self.key_id, stored)

    async def get(self, response_id: str) -> StoredResponse | None:
        """Return a response."""
        unstored = await self.unstored.get(self.key_id, response_id)
        return unstored or await self.store.get(self.key_id, response_id)


def find_link(request: Request) -> SocketLink | None:
    """Return the link of a request to its socket; None: it came over HTTP."""
    link: SocketLink | None = getattr(request.state, STATE, None)
    return link


def get_key_responses(request: Request) -> KeyResponses:
    """Return the responses that `request` may read and continue."""
    store, key_id = get_services(request).responses, get_account(request).key.key_id
    link = find_link(request)
    if link is None:
        return KeyResponses(store, key_id)
    return SocketResponses(store, key_id, link.unstored)
