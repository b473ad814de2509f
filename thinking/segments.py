"""Splits a choice's output tokens into shown thought and answer.

Runs between the engine and detokenisation, so that hidden tokens are counted but never
decoded. Knows nothing of text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from thinking.phase import TokenKind
from thinking.tracker import ThinkingTracker


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """Conditions that end an answer although the engine would continue.

    `max_tokens` counts answer tokens; None: no such limit. `stop_token_ids` are the client's:
    they have no effect inside a thought.
    """

    max_tokens: int | None = None
    stop_token_ids: frozenset[int] = frozenset()


@dataclass(slots=True)
class SplitTokens:
    """Tokens released by one push.

    `answer_positions` are indices into the pushed tokens. `thought_breaks` are indices into
    `thought` at which another thought begins. `finish_reason` is set if :class:`AnswerEnd`
    ended the answer; no token after that is consumed.
    """

    thought: list[int] = field(default_factory=list)
    thought_breaks: list[int] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)
    answer_positions: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None


class Segmenter:
    """Feeds a tracker, and releases each token once its kind is certain.

    Invariant: no token of a marker is ever released. Thought tokens that may be the beginning
    of an end marker are held back until that is certain.
    """

    def __init__(
        self,
        tracker: ThinkingTracker,
        *,
        keep_thought: bool,
        answer_end: AnswerEnd | None = None,
    ) -> None:
        self.tracker = tracker
        self._end = answer_end or AnswerEnd()
        self._keep_thought = keep_thought
        self._held: list[int] = []
        self._last_shown = 0  # number of the thought that was last released

    def push(self, token_ids: Sequence[int]) -> SplitTokens:
        """Take new output tokens, in order, and return those that can be released."""
        split = SplitTokens()
        for position, token_id in enumerate(token_ids):
            kind = self.tracker.advance(token_id)
            if kind is TokenKind.ANSWER:
                split.answer.append(token_id)
                split.answer_positions.append(position)
                if token_id in self._end.stop_token_ids:
                    split.finish_reason = "stop"
                elif self.tracker.num_answer == self._end.max_tokens:
                    split.finish_reason = "length"
                if split.finish_reason is not None:
                    break
            elif self._keep_thought:
                self._hold(token_id, kind, split)
        return split

    def _hold(self, token_id: int, kind: TokenKind, split: SplitTokens) -> None:
        if kind is TokenKind.MARKER:
            self._held.clear()  # they were the beginning of this marker
            return
        if kind is not TokenKind.SIGNAL:
            self._held.append(token_id)
        num_held = self.tracker.num_marker_tokens_begun
        num_released = len(self._held) - num_held
        if num_released <= 0:
            return
        if self._last_shown not in (0, self.tracker.num_segments):
            split.thought_breaks.append(len(split.thought))
        self._last_shown = self.tracker.num_segments
        split.thought.extend(self._held[:num_released])
        del self._held[:num_released]
