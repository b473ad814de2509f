"""Reads one position of a text: the next token's log-probability, with and without a thought.

Makes two engine requests. Both force the text's own token: one right after the prefix, the other
after a thought, as its lead-in. The log-probability is the model's raw one, which forcing does not
change. Knows nothing of other positions.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.api.thinking.map.job import MapJob
from server.api.thinking.map.mixing import mix_logprobs
from server.choice.detokenizer import Detokenizer
from server.engine.protocol import EngineRequest, SamplingSettings, TokenLogprobs
from server.errors.internal import AbortedError, EngineError
from server.model.served_model import ServedModel
from thinking.budget import to_grace_tokens
from thinking.markers.profile import MarkerProfile
from thinking.phase import StopCause
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.segments import Segmenter
from thinking.tracker import ThinkingTracker


@dataclass(slots=True)
class TokenTally:
    """Number of tokens that the engine has generated for a map so far.

    `reasoning` counts the hidden ones; `injected` counts those of them that the server wrote.
    """

    generated: int = 0
    reasoning: int = 0
    injected: int = 0

    @property
    def answer(self) -> int:
        """Number of the text's tokens, which are forced, and of any tokens generated after them."""
        return self.generated - self.reasoning


@dataclass(frozen=True, slots=True)
class Position:
    """Values read before the text's `index`-th token; `mixed` has one value per weight."""

    index: int
    logprob: float
    logprob_with_thought: float
    mixed: tuple[float, ...]
    thought_tokens: int
    stop: StopCause
    reasoning: str

    @property
    def gain(self) -> float:
        """Increase of the token's log-probability by the thought, in nats."""
        return self.logprob_with_thought - self.logprob


@dataclass(frozen=True, slots=True)
class _Thought:
    """Finished thought, and the log-probabilities of the text's token after it."""

    entry: TokenLogprobs
    num_tokens: int
    stop: StopCause
    text: str


class PositionReader:
    """Reads the positions of one map, and counts the generated tokens in `tally`."""

    def __init__(self, model: ServedModel, job: MapJob, tally: TokenTally) -> None:
        self._model = model
        self._job = job
        self._tally = tally

    async def read(self, index: int) -> Position:
        """Read a position.

        Raises:
            EngineError: see :meth:`server.engine.protocol.Engine.generate`.
        """
        without = await self._read_without(index)
        thought = await self._think(index)
        token_id = self._job.text.token_ids[index]
        return Position(
            index=index,
            logprob=without.sampled.logprob,
            logprob_with_thought=thought.entry.sampled.logprob,
            mixed=tuple(
                mix_logprobs(token_id, without, thought.entry, weight)
                for weight in self._job.weights
            ),
            thought_tokens=thought.num_tokens,
            stop=thought.stop,
            reasoning=thought.text,
        )

    async def _read_without(self, index: int) -> TokenLogprobs:
        """Return the distribution right after the prefix."""
        token_id = self._job.text.token_ids[index]
        sampling = SamplingSettings(
            max_tokens=1, temperature=0.0, num_logprobs=self._job.sampling.num_logprobs
        )
        request = EngineRequest(
            request_id=f"{self._job.map_id}-{index}-without",
            prompt_token_ids=self._job.text.get_prefix(index),
            sampling=sampling,
            plan=_make_forcing_plan(token_id),
        )
        async with aclosing(self._generate_tokens(request)) as tokens:
            async for _, entry in tokens:
                return self._check_token(entry, token_id)
        raise AbortedError("the engine ended without a token")

    async def _think(self, index: int) -> _Thought:
        job, profile = self._job, self._model.engine.profile
        token_id = job.text.token_ids[index]
        opening = job.text.opening_token_ids if index == 0 else None
        if opening is None:
            profile = profile.inside_text
        plan = _make_thinking_plan(profile, token_id, job.thought_tokens)
        request = EngineRequest(
            request_id=f"{job.map_id}-{index}-with",
            prompt_token_ids=opening or job.text.get_prefix(index),
            sampling=job.get_sampling_at(index),
            plan=plan,
        )
        tracker = ThinkingTracker(self._model.tables, plan)
        segmenter = Segmenter(tracker, keep_thought=job.shows_thought)
        detokenizer = Detokenizer(self._model.engine.tokenizer)
        text = ""
        try:
            async with aclosing(self._generate_tokens(request)) as tokens:
                async for generated, entry in tokens:
                    text += detokenizer.push(segmenter.push((generated,)).thought)
                    if not tracker.is_hidden:  # the lead-in's last token is the text's token
                        entry = self._check_token(entry, token_id)
                        return _Thought(entry, tracker.num_hidden - 1, tracker.stop_cause, text)
        finally:
            # The tracker counts the lead-in as hidden and injected; here it is the text.
            num_text = int(not tracker.is_hidden)
            self._tally.reasoning += tracker.num_hidden - num_text
            self._tally.injected += tracker.num_injected - num_text
        raise AbortedError("the engine ended inside a thought")

    async def _generate_tokens(
        self, request: EngineRequest
    ) -> AsyncGenerator[tuple[int, TokenLogprobs], None]:
        """Yield the tokens of one engine request; closing the generator aborts it."""
        async with aclosing(self._model.engine.generate(request)) as outputs:
            async for output in outputs:
                self._tally.generated += len(output.token_ids)
                for token in zip(output.token_ids, output.logprobs or (), strict=True):
                    yield token

    def _check_token(self, entry: TokenLogprobs, token_id: int) -> TokenLogprobs:
        if entry.sampled.token_id != token_id:
            raise EngineError("the engine did not write the text's token")
        return entry


def _make_forcing_plan(token_id: int) -> ThinkingPlan:
    """Return a plan that forces one token, as the close of a thought that is due at once."""
    return ThinkingPlan(script=(token_id,), close_end=1, segment_at=1, opens=True, budget=1)


def _make_thinking_plan(profile: MarkerProfile, token_id: int, thought_tokens: int) -> ThinkingPlan:
    """Return a plan for a thought of at most `thought_tokens`, then `token_id`."""
    with_token = replace(profile, lead_in_token_ids=(token_id,))
    rules = ThinkingRules(
        grace_tokens=to_grace_tokens(None, thought_tokens), max_tokens=thought_tokens + 1
    )
    return make_plan(with_token, thought_tokens + 1, rules)
