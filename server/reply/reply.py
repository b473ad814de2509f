"""One reply on its way: what to generate, and for whom. No wire is known."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from server.account.account import RequestAccount
from server.admission.deadline import in_time
from server.choice.delta import ChoiceDelta
from server.generation.generate import generate
from server.generation.job import GenerationJob
from server.model.served_model import ServedModel
from server.state import ServerState
from server.traces.capture import TraceHead, captured


@dataclass(frozen=True, slots=True)
class Reply:
    """`shows_thought`: the client asked for thoughts and may see them. `keeps_thought`: the
    deltas have them all the same. `trace` None: none is kept.

    Made by :func:`server.reply.prepare.prepare_reply`.
    """

    state: ServerState
    account: RequestAccount
    model: ServedModel
    job: GenerationJob
    shows_thought: bool
    keeps_thought: bool
    trace: TraceHead | None

    # Whether the client has said how long the reply may be.
    has_limit: bool = True

    @property
    def num_prompt_tokens(self) -> int:
        """Length of the prompt."""
        return len(self.job.prompt.token_ids)

    def deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """The generation; it starts when it is first read, and ends when it is closed."""
        limit = self.state.settings.max_request_seconds
        deltas = in_time(generate(self.model, self.job, self.account), self.account, limit)
        if self.trace is None or self.state.traces is None:
            return deltas
        passes = self.shows_thought or self.keeps_thought
        return captured(deltas, self.trace, self.state.traces, shows_thought=passes)

    async def collect(self) -> list[ChoiceDelta]:
        """All deltas of each choice, joined; each has its result."""
        return await collected(self.deltas(), self.job.num_choices)


async def collected(
    deltas: AsyncGenerator[ChoiceDelta, None], num_choices: int
) -> list[ChoiceDelta]:
    """`deltas` joined by choice."""
    choices = [ChoiceDelta(index) for index in range(num_choices)]
    async with aclosing(deltas):
        async for delta in deltas:
            choices[delta.index].add(delta)
    return choices
