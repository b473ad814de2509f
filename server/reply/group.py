"""Several prompts' replies under one request, all at once.

One that fails takes the others with it; whoever stops reading ends them all. No wire is known.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from server.choice.delta import ChoiceDelta
from server.generation.merging import merge_deltas
from server.reply.reply import Reply, collect_choices


@dataclass(frozen=True, slots=True)
class ReplyGroup:
    """Choices are counted over all replies: all of the first prompt, then the next one's."""

    replies: Sequence[Reply]

    @property
    def num_prompt_tokens(self) -> int:
        """Of all prompts together."""
        return sum(reply.num_prompt_tokens for reply in self.replies)

    @property
    def num_choices(self) -> int:
        """Of all replies together."""
        return sum(reply.job.num_choices for reply in self.replies)

    def stream_deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """See :meth:`server.reply.reply.Reply.stream_deltas`."""
        first, streams = 0, []
        for reply in self.replies:
            streams.append(_shift_indices(reply.stream_deltas(), first))
            first += reply.job.num_choices
        return merge_deltas(streams)

    async def collect(self) -> list[ChoiceDelta]:
        """See :meth:`server.reply.reply.Reply.collect`."""
        return await collect_choices(self.stream_deltas(), self.num_choices)


async def _shift_indices(
    deltas: AsyncGenerator[ChoiceDelta, None], first: int
) -> AsyncGenerator[ChoiceDelta, None]:
    """`deltas` whose choices are counted from `first`."""
    async with aclosing(deltas):
        async for delta in deltas:
            delta.index += first
            yield delta
