"""An engine without a model, for tests and for measuring the API layer alone.

Runs the real sampler on the logits of a tiny "model" (:mod:`.scripted_model`) in a batch loop, so
plans are enforced as in the worker of a real engine. Supports temperature (a thought's own too),
seed, bias, token limits and log-probabilities (of the prompt too); other sampling parameters are
ignored. Constraints are recorded in `constraints` but not enforced.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerBase

from server.constraint.answer_constraint import AnswerConstraint
from server.engine.gathering import TokenGatherer
from server.engine.protocol import (
    EngineLoad,
    EngineOutput,
    EnginePrompt,
    EngineRequest,
    InterruptedRequestError,
    TokenLogprobs,
)
from server.engine.scripted_model import LogitsSource
from server.engine.scripted_sampling import compute_logprobs, restrict, sample
from server.errors.internal import (
    AbortedError,
    EngineDeadError,
    EngineError,
    EngineRequestError,
    GivenUpError,
)
from server.tools.call_form import CallForm
from server.tools.reading import ToolCallReader
from server.tools.tool import Tool
from thinking.markers.boundaries import find_boundary_token_ids, map_token_bytes
from thinking.markers.profile import MarkerProfile
from thinking.phase import Phase
from thinking.sampler.arrays import arrays_for
from thinking.sampler.row_state import Field
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

CPU = torch.device("cpu")
MAX_ROWS = 256


@dataclass(eq=False, slots=True)
class _Row:
    """A request in the batch."""

    request: EngineRequest
    sampler_row: SamplerRow
    generator: torch.Generator
    gatherer: TokenGatherer | None
    outputs: asyncio.Queue[EngineOutput | EngineError | InterruptedRequestError] = field(
        default_factory=asyncio.Queue
    )


class ScriptedEngine:
    """An :class:`~server.engine.protocol.Engine` that generates one token per row and step."""

    def __init__(
        self,
        source: LogitsSource,
        tokenizer: PreTrainedTokenizerBase,
        profile: MarkerProfile,
        *,
        model_name: str = "scripted",
        max_model_len: int = 2048,
        tool_call_parser: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.max_model_len = max_model_len
        self.vocab_size = source.vocab_size
        self.max_logprobs = 20
        self.max_images = 0
        self.max_num_seqs = MAX_ROWS
        self.load = EngineLoad()  # set by tests
        self.not_ready_reason: str | None = None  # likewise
        # Has no prefix cache; tests say what one would have found.
        self.count_cached_tokens: Callable[[EngineRequest], int] = lambda request: 0
        self.default_sampling: Mapping[str, float] = {}
        self.tokenizer = tokenizer
        self.profile = profile
        self.reads_tool_calls = True
        self._tool_call_parser = tool_call_parser
        self._source = source
        tracker = TrackerTables(profile, find_boundary_token_ids(tokenizer))
        tables = AutomatonTables(
            tracker, self.vocab_size, arrays_for(CPU), map_token_bytes(tokenizer)
        )
        self._sampler = ThinkingSampler(tables, MAX_ROWS, CPU)
        self._rows: list[_Row] = []
        self._loop_task: asyncio.Task[None] | None = None
        self._dead = asyncio.Event()
        self._has_given_up = False
        self._unseeded = 0
        self._unread: dict[str, list[int]] = {}
        self.constraints: list[AnswerConstraint] = []
        self.last_request: EngineRequest | None = None
        self.num_generated = 0  # tokens, of all requests

    @property
    def is_alive(self) -> bool:
        """False after :meth:`kill` or :meth:`close`."""
        return not self._dead.is_set()

    @property
    def num_running(self) -> int:
        """Number of rows in the batch."""
        return len(self._rows)

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """See :meth:`server.engine.protocol.Engine.with_images`."""
        raise EngineRequestError("a scripted model does not support images")

    def kill(self) -> None:
        """Die like an engine whose process has ended."""
        self._dead.set()
        self._fail_all(EngineDeadError("killed"))

    def take_unread(self, request_id: str) -> Sequence[int]:
        """See :meth:`server.engine.protocol.Engine.take_unread`."""
        return self._unread.pop(request_id, ())

    def give_up(self) -> None:
        """See :meth:`server.engine.protocol.Engine.give_up`."""
        self._has_given_up = True
        self._fail_all(GivenUpError("given up"))

    def abort_all(self) -> None:
        """Abort all requests without being told to, as vLLM may."""
        self._fail_all(AbortedError("aborted by the engine"))

    def _fail_all(self, error: EngineError) -> None:
        for row in self._rows:
            row.outputs.put_nowait(error)
        self._rows.clear()

    def create_tool_call_reader(self, tools: Sequence[Tool]) -> ToolCallReader:
        """See :meth:`server.engine.protocol.Engine.create_tool_call_reader`."""
        from server.engine.tool_parsing import ToolParsing  # takes seconds to import

        return ToolParsing(self.tokenizer, self._tool_call_parser).create_reader(tools)

    def describe_calls(self, tools: Sequence[Tool], *, parallel: bool) -> CallForm:
        """See :meth:`server.engine.protocol.Engine.describe_calls`."""
        from server.engine.tool_parsing import ToolParsing  # takes seconds to import

        parsing = ToolParsing(self.tokenizer, self._tool_call_parser)
        return parsing.describe_calls(tools, parallel=parallel)

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        """See :meth:`server.engine.protocol.Engine.check_constraint`."""
        self.constraints.append(constraint)

    async def wait_dead(self) -> None:
        """Wait until the engine has died."""
        await self._dead.wait()

    async def close(self) -> None:
        """Stop the batch loop."""
        self.kill()
        if self._loop_task is not None:
            await self._loop_task

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """See :meth:`server.engine.protocol.Engine.generate`."""
        self.last_request = request
        row = self._admit(request)
        try:
            while True:
                output = await row.outputs.get()
                if isinstance(output, EngineError | InterruptedRequestError):
                    raise output
                yield output
                if output.finish_reason is not None:
                    return
        finally:
            self._remove(row)

    async def interrupt(self, request_id: str) -> None:
        """See :meth:`server.engine.protocol.Engine.interrupt`."""
        for row in [row for row in self._rows if row.request.request_id == request_id]:
            waiting = () if row.gatherer is None else row.gatherer.take_waiting()
            self._remove(row)
            written = tuple(row.sampler_row.output_token_ids)
            row.outputs.put_nowait(InterruptedRequestError(EngineOutput(waiting), written))

    def _admit(self, request: EngineRequest) -> _Row:
        if not self.is_alive:
            raise EngineDeadError("killed")
        if self._has_given_up:
            raise GivenUpError("given up")
        length = len(request.prompt_token_ids) + request.sampling.max_tokens
        if length > self.max_model_len:
            raise EngineRequestError(f"{length} tokens do not fit {self.max_model_len}")
        seed = request.sampling.seed
        if seed is None:
            self._unseeded += 1
            seed = self._unseeded
        row = _Row(
            request,
            SamplerRow(request.plan, []),
            torch.Generator().manual_seed(seed),
            None if request.gathering is None else TokenGatherer(request.gathering),
        )
        self._rows.append(row)
        self._update_sampler()
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._run())
        return row

    def _remove(self, row: _Row) -> None:
        if row in self._rows:
            self._rows.remove(row)
            self._update_sampler()
            if row.gatherer is not None and (waiting := row.gatherer.take_waiting()):
                self._unread[row.request.request_id] = waiting

    def _update_sampler(self) -> None:
        self._sampler.update({i: row.sampler_row for i, row in enumerate(self._rows)})

    async def _run(self) -> None:
        """Run steps while there are rows, and yield to the readers in between."""
        while self._rows:
            self._step()
            await asyncio.sleep(0)

    def _step(self) -> None:
        rows = list(self._rows)
        raw = torch.stack(
            [
                self._source.compute_logits(
                    row.request.prompt_token_ids, row.sampler_row.output_token_ids
                )
                for row in rows
            ]
        )
        logits = raw.clone()
        for i, row in enumerate(rows):
            num_written = len(row.sampler_row.output_token_ids)
            restrict(logits[i], row.request.sampling, num_written, self.profile.stop_token_ids)
        self._sampler.apply(logits)
        for i, row in enumerate(rows):
            temperature = self._find_temperature(row)
            self._emit(row, sample(logits[i], temperature, row.generator), raw[i])

    def _find_temperature(self, row: _Row) -> float:
        """Return the temperature of the next token, which may be a thought's own."""
        sampling = row.request.sampling
        if sampling.thought is None:
            return sampling.temperature
        phase = self._sampler.automaton.state[row.sampler_row.slot, Field.PHASE]
        return (sampling.thought if phase == Phase.THINKING else sampling).temperature

    def _emit(self, row: _Row, token_id: int, raw: torch.Tensor) -> None:
        sampling = row.request.sampling
        row.sampler_row.output_token_ids.append(token_id)
        self.num_generated += 1
        finish = None
        own = () if sampling.ignore_eos else self.profile.stop_token_ids
        if token_id in (*own, *row.request.stop_token_ids):
            finish = "stop"
        elif len(row.sampler_row.output_token_ids) == sampling.max_tokens:
            finish = "length"
        logprobs = None
        if sampling.num_logprobs is not None:
            logprobs = [compute_logprobs(raw, token_id, sampling.num_logprobs)]
        prompt = num_cached = None
        if len(row.sampler_row.output_token_ids) == 1:
            prompt = self._compute_prompt_logprobs(row.request)
            num_cached = self.count_cached_tokens(row.request)
        token_ids: Sequence[int] | None = [token_id]
        if row.gatherer is not None:
            token_ids = row.gatherer.push([token_id], may_wait=finish is None)
        if token_ids is not None:
            output = EngineOutput(token_ids, logprobs, finish, prompt, num_cached)  # type: ignore[arg-type]
            row.outputs.put_nowait(output)
        if finish is not None:
            self._remove(row)

    def _compute_prompt_logprobs(self, request: EngineRequest) -> list[TokenLogprobs | None] | None:
        num_top, prompt = request.num_prompt_logprobs, request.prompt_token_ids
        if num_top is None:
            return None
        entries = [
            compute_logprobs(
                self._source.compute_logits(prompt[:place], ()), prompt[place], num_top
            )
            for place in range(1, len(prompt))
        ]
        return [None, *entries]
