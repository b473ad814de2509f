"""Events of a streamed chat or text completion, from the first to ``[DONE]``.

Does not know the form of the chunks.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from server.account.account import RequestAccount
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.choice.progress import ThinkingProgress
from server.errors.api import ApiError
from server.errors.translation import report_error

DONE = b"data: [DONE]\n\n"
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class StreamWriter(Protocol):
    """Writes the chunks of one reply."""

    @property
    def includes_usage(self) -> bool:
        """True if the last chunk has the usage."""

    def write_delta(self, delta: ChoiceDelta) -> bytes:
        """Return the chunk of a delta of one choice."""

    def write_progress(self, index: int, progress: ThinkingProgress) -> bytes:
        """Return the chunk that says how far the thoughts of choice `index` are."""

    def write_usage(self, results: Sequence[ChoiceResult]) -> bytes:
        """Return the last chunk, which has the usage."""


def format_error_event(error: ApiError) -> bytes:
    """Return the event for an error after the stream has begun."""
    return f"data: {_to_json(error.to_dict())}\n\n".encode()


async def stream_events(
    writer: StreamWriter,
    create_first_events: Callable[[], Awaitable[Sequence[bytes]]],
    deltas: AsyncGenerator[ChoiceDelta, None],
    account: RequestAccount,
) -> AsyncGenerator[bytes, None]:
    """Yield the first events, those of `deltas`, the usage if requested, and ``[DONE]``.

    An error ends the stream with an error event, and is recorded in `account`.
    """
    results: list[ChoiceResult] = []
    try:
        async with aclosing(deltas):
            for event in await create_first_events():
                yield event
            async for delta in deltas:
                if delta.result:
                    results.append(delta.result)
                if delta.progress is not None:
                    yield writer.write_progress(delta.index, delta.progress)
                    if not delta.has_output:
                        continue
                yield writer.write_delta(delta)
    except Exception as error:
        yield format_error_event(report_error(error, account))
        return
    if writer.includes_usage:
        yield writer.write_usage(results)
    yield DONE
