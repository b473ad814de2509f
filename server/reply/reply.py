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
from server.ledger.ledger import Ledger, ReplyRecorder, RowHead
from server.model.served_model import ServedModel
from server.traces.capture import TraceHead, captured
from server.traces.recorder import TraceRecorder
from thinking.turn import TurnShare


@dataclass(frozen=True, slots=True)
class Recording:
    """Recording of a reply's trace. `passes_thought`: recorded deltas keep their thoughts."""

    head: TraceHead
    recorder: TraceRecorder
    passes_thought: bool


@dataclass(frozen=True, slots=True)
class Billing:
    """The ledger in which a reply's choices are recorded, and what their rows share."""

    ledger: Ledger
    head: RowHead


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply that has been admitted; see :func:`server.reply.prepare.prepare_reply`.

    `shows_thought`: the client requested thoughts and may see them. `max_seconds` is None if the
    request may take any time, and `recording` is None if no trace is kept. `billing` is None if
    usage is neither priced nor recorded. `governors` take orders to the choices; None: nobody gives
    any.
    """

    account: RequestAccount
    model: ServedModel
    job: GenerationJob
    shows_thought: bool
    max_seconds: float | None = None
    recording: Recording | None = None
    billing: Billing | None = None
    governors: Sequence[ChoiceGovernor] | None = None

    @property
    def num_prompt_tokens(self) -> int:
        """Length of the prompt, in tokens."""
        return len(self.job.prompt.token_ids)

    @property
    def was_stopped(self) -> bool:
        """True if a choice was ended before its answer; see :meth:`ChoiceGovernor.stop`."""
        return any(governor.was_stopped for governor in self.governors or ())

    async def stop(self) -> None:
        """End the choices whose answers have not begun; see :meth:`ChoiceGovernor.stop`."""
        for governor in self.governors or ():
            await governor.stop()

    def stream_deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """Generate the reply: starts when the deltas are first read, and ends when closed."""
        deltas = self._generate()
        if (recording := self.recording) is not None:
            deltas = captured(
                deltas, recording.head, recording.recorder, shows_thought=recording.passes_thought
            )
        if self.account.turn is None:
            return deltas
        return _settle_before_end(deltas, self.account, self.account.turn)

    async def collect(self) -> list[ChoiceDelta]:
        """Return all deltas of each choice, joined; each has its result."""
        return await collect_choices(self.stream_deltas(), self.job.num_choices)

    def record(
        self, deltas: AsyncGenerator[ChoiceDelta, None]
    ) -> AsyncGenerator[ChoiceDelta, None]:
        """Return `deltas`, made without the engine, with their choices in the ledger."""
        if self.billing is None:
            return deltas
        return ReplyRecorder(self.billing.ledger, self.billing.head).record(deltas)

    def _generate(self) -> AsyncGenerator[ChoiceDelta, None]:
        if self.billing is None:
            generated = generate(self.model, self.job, self.account, governors=self.governors)
            return enforce_deadline(generated, self.account, self.max_seconds)
        recorder = ReplyRecorder(self.billing.ledger, self.billing.head)
        generated = generate(
            self.model, self.job, self.account, recorder.note_outcome, self.governors
        )
        return recorder.record(enforce_deadline(generated, self.account, self.max_seconds))


async def _settle_before_end(
    deltas: AsyncGenerator[ChoiceDelta, None], account: RequestAccount, turn: TurnShare
) -> AsyncGenerator[ChoiceDelta, None]:
    """Yield `deltas`; settle the turn once all choices have ended, before the last one is told.

    So a client that sends its next request at once finds in the turn what this one has left.
    """
    last: list[ChoiceDelta] = []
    async with aclosing(deltas):
        async for delta in deltas:
            if turn.num_open or delta.result is None:
                yield delta
            else:
                last.append(delta)
    if last:
        assert account.settle_turn is not None  # set with the turn
        await account.settle_turn()
    for delta in last:
        yield delta


async def collect_choices(
    deltas: AsyncGenerator[ChoiceDelta, None], num_choices: int
) -> list[ChoiceDelta]:
    """Return `deltas` joined by choice."""
    choices = [ChoiceDelta(index) for index in range(num_choices)]
    async with aclosing(deltas):
        async for delta in deltas:
            choices[delta.index].add(delta)
    return choices
