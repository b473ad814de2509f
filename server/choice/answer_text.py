"""The visible part of an answer: its tokens to text, tool calls and log-probabilities.

Text passes the detokenizer, the marker filter and the stop matcher, in this order; each may hold
some back. Does not know thoughts, the engine or the client.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta, FinishReason
from server.choice.detokenizer import Detokenizer
from server.choice.marker_filter import Cut, MarkerFilter
from server.choice.stop_matcher import StopMatcher
from server.engine.protocol import EngineOutput, TokenLogprobs
from server.tools.feeding import TokenFeed
from thinking.segments import SplitTokens


@dataclass(slots=True)
class _WaitingEntry:
    """A token's log-probabilities, and where in the answer its text begins and ends.

    The characters before it count without what the marker filter has removed.
    """

    begin: int
    end: int
    logprobs: TokenLogprobs

    def lies_in(self, cut: Cut) -> bool:
        """Return whether `cut` removes the token's text.

        A token without a text, such as the first half of a character, goes with what follows it.
        """
        end = cut.position + cut.length
        return cut.position <= self.begin < end and self.end <= end

    def close_gap(self, cut: Cut) -> None:
        """Count without what `cut` has removed."""
        self.begin -= min(cut.length, max(0, self.begin - cut.position))
        self.end -= min(cut.length, max(0, self.end - cut.position))


class AnswerText:
    """Incremental text of one answer.

    Invariant: released text contains no stop string, no marker and not most of one. A token's
    log-probabilities are released together with the beginning of its text, or dropped if all of
    it is removed.
    """

    def __init__(self, settings: DecodingSettings) -> None:
        create_reader = settings.create_tool_reader
        # The reader sees what the answer's text would be, and tells text from calls.
        self._feed = TokenFeed(create_reader()) if create_reader is not None else None
        self._detokenizer = Detokenizer(
            settings.tokenizer,
            after=settings.prompt.context_token_ids,
            shown_special=settings.call_token_ids if create_reader is not None else (),
        )
        self._marker_filter = MarkerFilter(settings.filtered_markers)
        self._stop_matcher = StopMatcher(settings.stops)
        self._stop_token_ids = settings.stop_token_ids
        # Log-probabilities wait for their token's text.
        self._waiting: deque[_WaitingEntry] = deque()
        self._num_decoded = 0  # characters that have passed the marker filter
        self._num_released = 0

    @property
    def matched_stop(self) -> str | None:
        """The stop string that ended the answer, if one did."""
        return self._stop_matcher.matched_stop

    def push(
        self, split: SplitTokens, output: EngineOutput, delta: ChoiceDelta
    ) -> FinishReason | None:
        """Add the answer tokens of `output` to `delta`.

        Returns:
            Why the answer has ended; None while it goes on. Nothing may be pushed after the end.
        """
        end: FinishReason | None = split.finish_reason or output.finish_reason
        matcher = self._stop_matcher
        text = ""
        if split.answer:
            if end == "stop":
                delta.end_logprobs = self._drop_stop_token(split, output.logprobs)
            text = matcher.push(self._decode(split, output.logprobs))
            if matcher.matched:
                delta.end_logprobs = None
        if end is not None and not matcher.matched:
            text += matcher.push(self._marker_filter.finish())
            self._drop_removed_logprobs()
            text += matcher.finish()
        if matcher.matched:
            end = "stop"
        self._num_released += len(text)
        self._release_logprobs(delta, whole=end is not None and not matcher.matched)
        if self._feed is not None:
            return self._read_calls(self._feed, text, end, delta)
        delta.content = text
        return end

    def _read_calls(
        self, feed: TokenFeed, text: str, end: FinishReason | None, delta: ChoiceDelta
    ) -> FinishReason | None:
        """Split new text into content and tool calls; a call too many ends the answer."""
        piece = feed.push(text)
        if end is not None:
            piece.add(feed.finish(is_cut=end == "length"))
        delta.content, delta.tool_calls = piece.content, piece.calls
        if feed.is_over and end is None:
            end = "stop"
        if feed.has_called and (feed.is_over or end == "stop"):
            return "tool_calls"
        return end

    def _drop_stop_token(
        self, split: SplitTokens, logprobs: Sequence[TokenLogprobs] | None
    ) -> TokenLogprobs | None:
        """Remove the stop token, which is counted but not text; return its log-probabilities."""
        if split.answer[-1] not in self._stop_token_ids:
            return None
        split.answer.pop()
        position = split.answer_positions.pop()
        return logprobs[position] if logprobs is not None else None

    def _decode(self, split: SplitTokens, logprobs: Sequence[TokenLogprobs] | None) -> str:
        if logprobs is None and self._feed is None:
            return self._marker_filter.push(self._detokenizer.push(split.answer))
        text = ""
        for token_id, position in zip(split.answer, split.answer_positions, strict=True):
            decoded = self._detokenizer.push((token_id,))
            if logprobs is not None:
                begin = self._num_decoded + self._marker_filter.num_held
                entry = _WaitingEntry(begin, begin + len(decoded), logprobs[position])
                self._waiting.append(entry)
            piece = self._marker_filter.push(decoded)
            self._drop_removed_logprobs()
            if self._feed is not None:
                self._feed.note(token_id, len(piece))
            self._num_decoded += len(piece)
            text += piece
        return text

    def _drop_removed_logprobs(self) -> None:
        """Drop the entries of what the marker filter has removed since the last call."""
        for cut in self._marker_filter.take_cuts():
            self._waiting = deque(entry for entry in self._waiting if not entry.lies_in(cut))
            for entry in self._waiting:
                entry.close_gap(cut)

    def _release_logprobs(self, delta: ChoiceDelta, *, whole: bool) -> None:
        """Move the entries whose text has begun to be released to `delta`; if `whole`, all."""
        waiting = self._waiting
        while waiting and (whole or waiting[0].begin < self._num_released):
            entry = waiting.popleft()
            delta.offsets.append(entry.begin)
            delta.logprobs.append(entry.logprobs)
