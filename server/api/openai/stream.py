"""A streamed completion, of a chat or of a text: its events from the first to ``[DONE]``."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from server.account.account import RequestAccount
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.errors.api import ApiError
from server.errors.translation import report_error

DONE = b"data: [DONE]\n\n"
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class StreamWriter(Protocol):
    """Writes the chunks of one reply."""

    @property
    def includes_usage(self) -> bool:
        """Whether the last chunk tells the usage."""

    def write_delta(self, delta: ChoiceDelta) -> bytes:
        """What is new of one choice."""

    def write_usage(self, results: Sequence[ChoiceResult]) -> bytes:
        """The last chunk."""


def format_error_event(error: ApiError) -> bytes:
    """An error after the stream has begun."""
    return f"data: {_to_json(error.to_dict())}\n\n".encode()


async def stream_events(
    writer: StreamWriter,
    lead: Callable[[], Awaitable[Sequence[bytes]]],
    deltas: AsyncGenerator[ChoiceDelta, None],
    account: RequestAccount,
) -> AsyncGenerator[bytes, None]:
    """`lead` gives what comes first; an error anywhere is the last event, and in `account`."""
    results: list[ChoiceResult] = []
    try:
        async with aclosing(deltas):
            for event in await lead():
                yield event
            async for delta in deltas:
                if delta.result:
                    results.append(delta.result)
                yield writer.write_delta(delta)
    except Exception as error:
        yield format_error_event(report_error(error, account))
        return
    if writer.includes_usage:
        yield writer.write_usage(results)
    yield DONE
