"""One choice: from the engine's token ids to text deltas and a receipt.

Splits thought from answer, detokenises what is shown, looks for stop strings in the answer
and has tool calls read out of it. Synchronous: knows neither the engine nor the client, only
tokens and time.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from server.choice.delta import THOUGHT_BREAK, ChoiceDelta, ChoiceResult, FinishReason
from server.choice.detokenizer import Detokenizer
from server.choice.text_filters import MarkerFilter, StopMatcher
from server.engine.protocol import EngineOutput, TokenLogprobs
from server.prompt.prepared_prompt import PreparedPrompt
from server.tools.feeding import TokenFeed
from server.tools.reading import CarefulReader, ReadPiece
from thinking.phase import StopCause
from thinking.plan import ThinkingPlan
from thinking.receipt import BranchTally, Receipt, make_receipt
from thinking.segments import AnswerEnd, Segmenter, SplitTokens
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables


@dataclass(slots=True)
class ChoiceTimes:
    """Moments of ``time.monotonic()``; None: not yet.

    `thinking_seconds` is the time in which hidden tokens came, after the first token.
    """

    started: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    first_answer_token: float | None = None
    last_token: float | None = None
    thinking_seconds: float = 0.0


class ChoiceDecoder:
    """Turns engine outputs into deltas. `result` is set once the choice has ended.

    Invariant: hidden tokens are counted, and touched no further unless their text is asked for.
    """

    def __init__(
        self,
        index: int,
        tables: TrackerTables,
        tokenizer: PreTrainedTokenizerBase,
        prompt: PreparedPrompt,
        *,
        stops: Sequence[str],
        marker_texts: Sequence[str],
        shows_thought: bool,
        tool_calls: CarefulReader | None = None,
        call_token_ids: Collection[int] = (),
        answer_end: AnswerEnd | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.index = index
        self.prompt = prompt
        self.tracker = ThinkingTracker(tables, prompt.plan)
        self.times = ChoiceTimes(started=clock())
        self._clock = clock
        self.result: ChoiceResult | None = None
        # What a search has written that is no part of this choice's own tokens.
        self.elsewhere: BranchTally | None = None
        self._answer_end = answer_end or AnswerEnd()
        own_stops = frozenset(tables.profile.stop_token_ids)
        self._stop_token_ids = own_stops | self._answer_end.stop_token_ids
        self._keeps_thought = shows_thought
        self._segmenter = self._new_segmenter()
        # Text, or calls: the reader sees what the answer's text would be.
        self._feed = None if tool_calls is None else TokenFeed(tool_calls)
        self._answer = Detokenizer(
            tokenizer,
            after=prompt.context_token_ids,
            shown_special=() if tool_calls is None else call_token_ids,
        )
        self._thought = Detokenizer(tokenizer)
        self._marker_filter = MarkerFilter(marker_texts)
        self._matcher = StopMatcher(stops)
        # Log-probabilities wait for their token's text: (characters before it, where it begins,
        # entry); the two numbers differ where text is held back.
        self._waiting_logprobs: deque[tuple[int, int, TokenLogprobs]] = deque()
        self._num_decoded = 0
        self._num_released = 0

    def adopt(self, plan: ThinkingPlan, elsewhere: BranchTally) -> None:
        """Begin with the branch of a search, which was written under `plan`."""
        self.tracker = ThinkingTracker(self.tracker.tables, plan)
        self._segmenter = self._new_segmenter()
        self.elsewhere = elsewhere

    def push(self, output: EngineOutput) -> ChoiceDelta:
        """Take new tokens."""
        split = self._segmenter.push(output.token_ids)
        self._note_times(len(output.token_ids), len(split.answer))
        finish_reason = split.ended or output.finish_reason
        delta = ChoiceDelta(self.index)
        if split.thought:
            delta.reasoning = self._decode_thought(split)
        text = ""
        if split.answer:
            if finish_reason == "stop":
                delta.end_logprobs = self._drop_stop_token(split, output)
            text = self._matcher.push(self._decode(split, output.logprobs))
        if self._matcher.matched:
            delta.end_logprobs = None
        ended = self._matcher.matched or finish_reason is not None
        if ended:
            text += self._matcher.push(self._marker_filter.finish())
            text += self._matcher.finish()
        self._num_released += len(text)
        self._release_logprobs(delta, whole=ended and not self._matcher.matched)
        by_length = finish_reason == "length" and not self._matcher.matched
        piece = self._read(text, ended=ended, is_cut=by_length)
        delta.content, delta.tool_calls = piece.content, piece.calls
        if ended or self._has_enough_calls:
            self.result = delta.result = self._result(self._finish_reason(by_length=by_length))
        return delta

    def has_thought_for(self, seconds: float) -> bool:
        """Whether a thought goes on although those of this choice have taken `seconds`."""
        return self.tracker.is_thinking and self.times.thinking_seconds >= seconds

    def cancelled_receipt(self) -> Receipt:
        """The receipt of a choice that nobody waits for any more."""
        if self.tracker.is_hidden:
            self.tracker.stop_cause = StopCause.CANCELLED
        return self._receipt()

    @property
    def _has_enough_calls(self) -> bool:
        return self._feed is not None and self._feed.is_over

    def _finish_reason(self, *, by_length: bool) -> FinishReason:
        if self._feed is not None and self._feed.has_called:
            return "length" if by_length and not self._feed.is_over else "tool_calls"
        return "length" if by_length else "stop"

    def _read(self, text: str, *, ended: bool, is_cut: bool) -> ReadPiece:
        """What the answer's new text is: content, or of tool calls."""
        if self._feed is None:
            return ReadPiece(text)
        piece = self._feed.push(text)
        if ended:
            piece.add(self._feed.finish(is_cut=is_cut))
        return piece

    def _new_segmenter(self) -> Segmenter:
        return Segmenter(
            self.tracker, keep_thought=self._keeps_thought, answer_end=self._answer_end
        )

    def _drop_stop_token(self, split: SplitTokens, output: EngineOutput) -> TokenLogprobs | None:
        """It is counted, and it is no part of the text; its log-probabilities."""
        if split.answer[-1] not in self._stop_token_ids:
            return None
        split.answer.pop()
        position = split.answer_positions.pop()
        return output.logprobs[position] if output.logprobs is not None else None

    def _decode_thought(self, split: SplitTokens) -> str:
        text, begin = "", 0
        for place in split.thought_breaks:
            text += self._thought.push(split.thought[begin:place]) + THOUGHT_BREAK
            begin = place
        return text + self._thought.push(split.thought[begin:])

    def _decode(self, split: SplitTokens, logprobs: Sequence[TokenLogprobs] | None) -> str:
        if logprobs is None and self._feed is None:
            return self._marker_filter.push(self._answer.push(split.answer))
        text = ""
        for token_id, position in zip(split.answer, split.answer_positions, strict=True):
            if logprobs is not None:
                begin = self._num_decoded + self._marker_filter.num_held
                self._waiting_logprobs.append((self._num_decoded, begin, logprobs[position]))
            piece = self._decode_one(token_id)
            if self._feed is not None:
                self._feed.note(token_id, len(piece))
            self._num_decoded += len(piece)
            text += piece
        return text

    def _decode_one(self, token_id: int) -> str:
        """Text of a token whose entry waits; the entries of a removed marker are dropped."""
        num_removed = self._marker_filter.num_removed
        piece = self._marker_filter.push(self._answer.push((token_id,)))
        waiting = self._waiting_logprobs
        if self._marker_filter.num_removed > num_removed:
            while waiting and waiting[-1][0] == self._num_decoded:
                waiting.pop()
        return piece

    def _release_logprobs(self, delta: ChoiceDelta, *, whole: bool) -> None:
        """Entries of the tokens whose text has begun to be released."""
        waiting = self._waiting_logprobs
        while waiting and (whole or waiting[0][0] < self._num_released):
            _, begin, entry = waiting.popleft()
            delta.offsets.append(begin)
            delta.logprobs.append(entry)

    def _note_times(self, num_tokens: int, num_answer: int) -> None:
        if not num_tokens:
            return
        now = self._clock()
        if self.times.first_token is None:
            self.times.first_token = now
        if num_answer < num_tokens and self.times.last_token is not None:
            self.times.thinking_seconds += now - self.times.last_token
        self.times.last_token = now
        if num_answer and self.times.first_answer_token is None:
            self.times.first_answer_token = now

    def _result(self, finish_reason: FinishReason) -> ChoiceResult:
        receipt = self._receipt()
        stop = self._matcher.matched_stop
        return ChoiceResult(finish_reason, receipt, receipt.used, self.tracker.num_answer, stop)

    def _receipt(self) -> Receipt:
        return make_receipt(
            self.prompt.budget,
            self.tracker,
            self.times.thinking_seconds,
            self.prompt.advice,
            self.elsewhere,
        )
