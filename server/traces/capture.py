"""Gathering a request's deltas into a trace, and hiding again what the client may not see.

To be kept, a thought must be decoded though the client did not ask for it. This is the one
place where it is taken out of the deltas before they go on to the client.
"""

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from server.choice.delta import THOUGHT_BREAK, ChoiceDelta, ChoiceResult
from server.generation.job import GenerationJob
from server.keys.key import ANONYMOUS_ID
from server.tools.call import ToolCallDelta, join_calls
from server.traces.recorder import TraceRecorder
from server.traces.trace import Thought, Trace, TraceChoice


@dataclass(frozen=True, slots=True)
class TraceHead:
    """The part of a trace that is known before the model has written anything."""

    trace_id: str
    model: str
    messages: Sequence[Mapping[str, Any]]
    sampling: Mapping[str, Any]
    markers: tuple[str, str]
    key_id: str = ANONYMOUS_ID
    # Of an earlier reply, where the thought begins that this one goes on with.
    earlier_thought: str = ""

    def to_trace(self, choices: Sequence[TraceChoice]) -> Trace:
        """The whole trace."""
        return Trace(
            trace_id=self.trace_id,
            created=time.time(),
            model=self.model,
            messages=self.messages,
            sampling=self.sampling,
            markers=self.markers,
            key_id=self.key_id,
            choices=tuple(choices),
        )


@dataclass(slots=True)
class ChoiceCapture:
    """The output of one choice so far."""

    index: int
    answer: str = ""
    thoughts: list[Thought] = field(default_factory=list)
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    result: ChoiceResult | None = None

    def add(self, delta: ChoiceDelta) -> None:
        """Take a delta; a thought goes on until answer text has come."""
        if delta.reasoning:
            if self.thoughts and self.thoughts[-1].at == len(self.answer):
                text = self.thoughts.pop().text + delta.reasoning
            else:
                text = delta.reasoning.removeprefix(THOUGHT_BREAK)
            self.thoughts.append(Thought(text, len(self.answer)))
        self.answer += delta.content
        self.tool_calls += delta.tool_calls
        if delta.added:
            self.added.append(delta.added)
        self.result = delta.result or self.result

    def to_choice(self) -> TraceChoice | None:
        """The choice, once it has ended."""
        if self.result is None:
            return None
        receipt = self.result.receipt
        return TraceChoice(
            index=self.index,
            thoughts=tuple(self.thoughts),
            answer=self.answer,
            finish_reason=self.result.finish_reason,
            receipt=replace(receipt, sealed=None).to_dict(),
            added_by_caller=tuple(self.added),
            tool_calls=tuple(
                {"id": call.call_id, "name": call.name, "arguments": call.arguments}
                for call in join_calls(self.tool_calls)
            ),
        )


def describe_sampling(job: GenerationJob) -> dict[str, Any]:
    """Return how the choices of `job` are sampled, JSON-ready.

    `thought` is there only if thoughts are sampled otherwise than the answer.
    """
    sampling = asdict(job.sampling)
    if job.sampling.thought is None:
        del sampling["thought"]
    # Infinite ones are our own, for constraints; JSON has no infinity.
    bias = {str(t): value for t, value in job.sampling.logit_bias.items() if math.isfinite(value)}
    return {**sampling, "logit_bias": bias, "stop": list(job.stops)}


async def captured(
    deltas: AsyncGenerator[ChoiceDelta, None],
    head: TraceHead,
    recorder: TraceRecorder,
    *,
    shows_thought: bool,
) -> AsyncGenerator[ChoiceDelta, None]:
    """`deltas`, without thoughts unless shown; recorded if all choices came to their end."""
    captures: dict[int, ChoiceCapture] = {}
    async with aclosing(deltas):
        async for delta in deltas:
            if (capture := captures.get(delta.index)) is None:
                begun = [Thought(head.earlier_thought)] if head.earlier_thought else []
                capture = captures[delta.index] = ChoiceCapture(delta.index, thoughts=begun)
            capture.add(delta)
            if not shows_thought:
                delta.reasoning = ""
            if not delta.is_empty:
                yield delta
    choices = [capture.to_choice() for _, capture in sorted(captures.items())]
    ended = [choice for choice in choices if choice is not None]
    if ended and len(ended) == len(choices):
        recorder.record(head.to_trace(ended))
