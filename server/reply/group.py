"""Replies to several prompts of one request, generated concurrently.

If one reply fails, all of them end; closing the stream of deltas ends all of them too. Knows no
wire format.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.choice.delta import ChoiceDelta
from server.generation.merging import merge_deltas
from server.reply.reply import Reply, collect_choices


@dataclass(frozen=True, slots=True)
class ReplyGroup:
    """Replies of one request. Choices are numbered across all replies, in order of the prompts."""

    replies: Sequence[Reply]

    @property
    def num_prompt_tokens(self) -> int:
        """Number of tokens of all prompts together."""
        return sum(reply.num_prompt_tokens for reply in self.replies)

    @property
    def num_choices(self) -> int:
        """Number of choices of all replies together."""
        return sum(reply.job.num_choices for reply in self.replies)

    def stream_deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """Generate all replies; see :meth:`server.reply.reply.Reply.stream_deltas`."""
        first, streams = 0, []
        for prompt_index, reply in enumerate(self.replies):
            streams.append(_shift_indices(reply.stream_deltas(), first, prompt_index))
            first += reply.job.num_choices
        return merge_deltas(streams)

    async def collect(self) -> list[ChoiceDelta]:
        """Return all deltas of each choice, joined; each has its result."""
        return await collect_choices(self.stream_deltas(), self.num_choices)


async def _shift_indices(
    deltas: AsyncGenerator[ChoiceDelta, None], first: int, prompt_index: int
) -> AsyncGenerator[ChoiceDelta, None]:
    """Yield `deltas` with their choices numbered from `first`, and the place of their prompt."""
    async with aclosing(deltas):
        async for delta in deltas:
            delta.index += first
            if delta.result is not None:
                delta.result = replace(delta.result, prompt_index=prompt_index)
            yield delta
