"""Reply in progress: its job, and the account that it is generated for. Knows no wire format."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from server.account.account import RequestAccount
from server.admission.deadline import enforce_deadline
from server.choice.delta import ChoiceDelta
from server.generation.generate import generate
from server.generation.governing import ChoiceGovernor
from server.generation.job import GenerationJob
from server.model.served_model import ServedModel
from server.traces.capture import TraceHead, captured
from server.traces.recorder import TraceRecorder


@dataclass(frozen=True, slots=True)
class Recording:
    """Recording of a reply's trace. `passes_thought`: recorded deltas keep their thoughts."""

    head: TraceHead
    recorder: TraceRecorder
    passes_thought: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply that has been admitted; see :func:`server.reply.prepare.prepare_reply`.

    `shows_thought`: the client requested thoughts and may see them. `max_seconds` is None if the
    request may take any time, and `recording` is None if no trace is kept. `governors` take orders
    to the choices; None: nobody gives any.
    """

    account: RequestAccount
    model: ServedModel
    job: GenerationJob
    shows_thought: bool
    max_seconds: float | None = None
    recording: Recording | None = None
    governors: Sequence[ChoiceGovernor] | None = None

    @property
    def num_prompt_tokens(self) -> int:
        """Length of the prompt, in tokens."""
        return len(self.job.prompt.token_ids)

    def stream_deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """Generate the reply: starts when the deltas are first read, and ends when closed."""
        generated = generate(self.model, self.job, self.account, self.governors)
        deltas = enforce_deadline(generated, self.account, self.max_seconds)
        if self.recording is None:
            return deltas
        recording = self.recording
        return captured(
            deltas, recording.head, recording.recorder, shows_thought=recording.passes_thought
        )

    async def collect(self) -> list[ChoiceDelta]:
        """Return all deltas of each choice, joined; each has its result."""
        return await collect_choices(self.stream_deltas(), self.job.num_choices)


async def collect_choices(
    deltas: AsyncGenerator[ChoiceDelta, None], num_choices: int
) -> list[ChoiceDelta]:
    """Return `deltas` joined by choice."""
    choices = [ChoiceDelta(index) for index in range(num_choices)]
    async with aclosing(deltas):
        async for delta in deltas:
            choices[delta.index].add(delta)
    return choices
