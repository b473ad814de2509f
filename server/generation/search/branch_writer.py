"""Writes the branches of one choice in the engine.

Each call is a separate engine request, whose prompt ends with the tokens that the branch has
already: the engine finds them in its prefix cache. Knows plans and tokens; not which branch
is wanted, nor what is done with the chosen one.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.choice.detokenizer import Detokenizer
from server.engine.protocol import (
    EngineOutput,
    EngineRequest,
    InterruptedRequestError,
    TokenLogprobs,
)
from server.generation.job import GenerationJob
from server.model.served_model import ServedModel
from thinking.phase import Phase, TokenKind
from thinking.plan import ThinkingPlan
from thinking.segments import Segmenter
from thinking.strategies.branch import Branch, Line
from thinking.strategies.pool import ThinkingPool
from thinking.tracker import ThinkingTracker

# Keeps the seeds of a choice's branches apart from those of the next choices.
SEED_STRIDE = 7919


@dataclass(frozen=True, slots=True)
class WrittenBranch(Branch):
    """A branch with the log-probabilities of all its tokens."""

    entries: tuple[TokenLogprobs, ...] = ()

    def without_answer(self) -> "WrittenBranch":
        """Return the same thought, before its first answer token."""
        num_kept = len(self.token_ids) - self.num_answer
        return replace(
            self,
            token_ids=self.token_ids[:num_kept],
            entries=self.entries[:num_kept],
            num_answer=0,
            answer_logprob=0.0,
            finish_reason=None,
        )


class EngineBranchWriter:
    """A :class:`~thinking.strategies.protocol.BranchWriter`.

    `num_branches` counts the branches, that is whole replies and steps that were begun, and
    `num_injected` their forced tokens. Each branch takes one engine request or more. `on_output` is
    called after each output of the engine.
    """

    def __init__(
        self,
        model: ServedModel,
        job: GenerationJob,
        index: int,
        on_output: Callable[[], None] | None = None,
    ) -> None:
        self.pool = ThinkingPool(job.prompt.budget.budget)
        self.num_branches = 0
        self.num_injected = 0
        self.num_migrations = 0
        # The fewest prompt tokens that an engine request found in the prefix cache.
        self.num_cached: int | None = None
        # Ids of the engine requests that are running.
        self._running: set[str] = set()
        self._num_requests = 0
        self._on_output = on_output
        self._num_written = 0
        self._longest_answer = 0
        self._model = model
        self._job = job
        self._index = index
        end_marker = model.engine.profile.end_token_ids
        self._step_ends = (*sorted(model.line_token_ids), end_marker[-1])

    @property
    def num_hidden(self) -> int:
        """Tokens so far that will have been thinking, whichever branch is chosen.

        The answer of the chosen one will not: so the longest is left out. Only with `on_output`.
        """
        return self._num_written - self._longest_answer

    @property
    def root(self) -> WrittenBranch:
        """The reply before its first token."""
        return WrittenBranch()

    @property
    def answer_room(self) -> int:
        """See :meth:`thinking.strategies.protocol.BranchWriter.answer_room`."""
        budget = self._job.prompt.budget
        return budget.max_tokens - budget.budget

    async def complete(
        self, branch: Branch, max_tokens: int, max_answer_tokens: int | None = None
    ) -> WrittenBranch:
        """See :meth:`thinking.strategies.protocol.BranchWriter.complete`."""
        assert isinstance(branch, WrittenBranch)  # only ours come back to us
        if self.pool.is_closed:
            return branch
        self.num_branches += not branch.token_ids
        if self._job.constraint is not None:
            branch = branch.without_answer()  # its grammar cannot start in the middle
        return await self._write(branch, max_tokens, max_answer_tokens=max_answer_tokens)

    async def step(self, branch: Branch, max_tokens: int) -> WrittenBranch:
        """See :meth:`thinking.strategies.protocol.BranchWriter.step`."""
        assert isinstance(branch, WrittenBranch)  # only ours come back to us
        if self.pool.is_closed:
            return branch
        self.num_branches += 1
        return await self._write(branch, max_tokens, stop_token_ids=self._step_ends)

    async def end(self) -> None:
        """Let all branches end as if the pool were spent: none is written any further."""
        self.pool.is_closed = True
        for request_id in tuple(self._running):
            await self._model.engine.interrupt(request_id)

    def decode_answer(self, branch: Branch) -> str:
        """See :meth:`thinking.strategies.protocol.BranchWriter.decode_answer`."""
        stops = self._model.engine.profile.stop_token_ids
        answer = branch.token_ids[len(branch.token_ids) - branch.num_answer :]
        shown = [token_id for token_id in answer if token_id not in stops]
        return Detokenizer(self._model.engine.tokenizer).push(shown)

    def decode_thought(self, branch: Branch) -> str:
        """Return the text of the thought so far, without its markers."""
        plan = replace(self._job.prompt.plan, prior_token_ids=())
        tracker = ThinkingTracker(self._model.tables, plan)
        split = Segmenter(tracker, keep_thought=True).push(branch.token_ids)
        earlier = self._job.prompt.get_continued_text_ids(self._model.engine.profile)
        return Detokenizer(self._model.engine.tokenizer).push([*earlier, *split.thought])

    async def _write(
        self,
        branch: WrittenBranch,
        max_tokens: int,
        *,
        stop_token_ids: Sequence[int] = (),
        max_answer_tokens: int | None = None,
    ) -> WrittenBranch:
        room = self._job.prompt.context_left - len(branch.token_ids)
        if room <= 0:
            return replace(branch, thought_is_over=True, finish_reason="length")
        self.pool.reserve(max_tokens)
        request = self.make_request(branch, self._job.prompt.plan, max_tokens, stop_token_ids)
        growing = _GrowingBranch(self._model, request.plan, branch)
        self._running.add(request.request_id)
        try:
            # Leaving early closes the outputs, which aborts in the engine.
            async with aclosing(self._model.engine.generate(request)) as outputs:
                async for output in outputs:
                    self._note_cached(output.num_cached_tokens)
                    self.num_migrations += output.num_migrations
                    growing.push(output)
                    if self._on_output is not None:
                        self._num_written += len(output.token_ids)
                        self._longest_answer = max(self._longest_answer, growing.num_answer)
                        self._on_output()
                    if growing.has_answer_of(max_answer_tokens):
                        break
        except InterruptedRequestError as interruption:
            growing.push(interruption.output)
        finally:
            self._running.discard(request.request_id)
            self.pool.settle(max_tokens, growing.num_new)
            self.num_injected += growing.num_new_injected
        written = growing.to_branch()
        if growing.num_new == room and written.finish_reason is None:
            return replace(written, finish_reason="length")
        return written

    def _note_cached(self, num_tokens: int | None) -> None:
        if num_tokens is not None:
            known = num_tokens if self.num_cached is None else self.num_cached
            self.num_cached = min(num_tokens, known)

    def make_request(
        self,
        branch: WrittenBranch,
        plan: ThinkingPlan,
        max_tokens: int,
        stop_token_ids: Sequence[int] = (),
    ) -> EngineRequest:
        """Return the next engine request, which continues `branch` under `plan`.

        Its id and its seed are those of no other request; its outputs have log-probabilities.
        """
        job = self._job
        # The first thought has the seed, and so the tokens, of the choice without a search.
        sampling = job.sampling.with_seed_offset(self._index + SEED_STRIDE * self._num_requests)
        self._num_requests += 1
        return EngineRequest(
            request_id=f"{job.request_id}-{self._index}-{self._num_requests}",
            prompt_token_ids=[*job.prompt.token_ids, *branch.token_ids],
            sampling=replace(
                sampling,
                max_tokens=min(max_tokens, job.prompt.context_left - len(branch.token_ids)),
                num_logprobs=sampling.num_logprobs or 0,
            ),
            plan=replace(plan, prior_token_ids=branch.token_ids),
            constraint=job.constraint,
            stop_token_ids=stop_token_ids,
            images=job.prompt.images,
        )


class _GrowingBranch:
    """A branch that takes the engine's outputs and classifies their tokens."""

    def __init__(self, model: ServedModel, plan: ThinkingPlan, branch: WrittenBranch) -> None:
        self._branch = branch
        self._tracker = ThinkingTracker(model.tables, plan)
        self._injected_before = self._tracker.num_injected
        self._stop_token_ids = model.engine.profile.stop_token_ids
        self._token_ids: list[int] = []
        self._entries: list[TokenLogprobs] = []
        self._line, self._weakest_line = branch.line, branch.weakest_line
        self._longest_line = branch.longest_line
        self._line_token_ids = model.line_token_ids
        self._answer_logprob = branch.answer_logprob

    @property
    def num_new(self) -> int:
        """Tokens that the engine has written."""
        return len(self._token_ids)

    @property
    def num_answer(self) -> int:
        """Tokens of the answer, with those that the branch already had."""
        return self._tracker.num_answer

    @property
    def num_new_injected(self) -> int:
        """The number of forced tokens among them."""
        return self._tracker.num_injected - self._injected_before

    def has_answer_of(self, num_tokens: int | None) -> bool:
        """Return whether the thought is over and the answer has `num_tokens`; False for None."""
        if num_tokens is None or self._tracker.is_hidden:
            return False
        return self._tracker.num_answer >= num_tokens

    def push(self, output: EngineOutput) -> None:
        """Take new tokens."""
        if not output.token_ids:
            return
        assert output.logprobs is not None  # they were requested
        for token_id, entry in zip(output.token_ids, output.logprobs, strict=True):
            kind = self._tracker.advance(token_id)
            if kind is TokenKind.THOUGHT:
                self._note_thought(token_id, entry.sampled.logprob)
            elif kind is TokenKind.ANSWER:
                self._answer_logprob += entry.sampled.logprob
            self._token_ids.append(token_id)
            self._entries.append(entry)

    def _note_thought(self, token_id: int, logprob: float) -> None:
        self._line = self._line.with_token(logprob)
        if token_id in self._line_token_ids:
            self._weakest_line = min(self._weakest_line, self._line.mean)
            self._longest_line = max(self._longest_line, self._line.num_tokens)
            self._line = Line()

    def to_branch(self) -> WrittenBranch:
        """Return the branch with the tokens taken so far."""
        tracker = self._tracker
        has_ended = bool(self._token_ids) and self._token_ids[-1] in self._stop_token_ids
        return WrittenBranch(
            token_ids=(*self._branch.token_ids, *self._token_ids),
            num_hidden=tracker.num_hidden,
            num_injected=tracker.num_injected,
            num_answer=tracker.num_answer,
            answer_logprob=self._answer_logprob,
            weakest_line=self._weakest_line,
            longest_line=self._longest_line,
            line=self._line,
            is_thinking=tracker.is_hidden,
            thought_is_over=tracker.state.phase in (Phase.CLOSING, Phase.ANSWER),
            finish_reason="stop" if has_ended else None,
            entries=(*self._branch.entries, *self._entries),
        )
