"""Where a choice's answer starts: the question that a grammar on the answer asks.

Replays the output tokens under the request's plan, each token once, and remembers the
first place where the next token is the answer's. What comes after that place, and what
the grammar is, it does not know.
"""

from collections.abc import Sequence

from thinking.tracker import ThinkingTracker


class AnswerStart:
    """Invariant: once the answer has begun it stays begun, however much is written."""

    def __init__(self, tracker: ThinkingTracker) -> None:
        self._tracker = tracker
        self._num_read = 0

    @property
    def num_hidden(self) -> int | None:
        """Output tokens before the answer; None: the answer is yet to begin."""
        return None if self._tracker.is_hidden else self._num_read

    def has_begun(self, token_ids: Sequence[int], num_prompt: int = 0) -> bool:
        """Whether the token after `token_ids` belongs to the answer.

        The first `num_prompt` of them are the prompt. A shorter sequence than before is
        answered from memory; tokens that were read are not read again.
        """
        num_output = len(token_ids) - num_prompt
        while self._tracker.is_hidden and self._num_read < num_output:
            self._tracker.advance(token_ids[num_prompt + self._num_read])
            self._num_read += 1
        return self.num_hidden is not None and self.num_hidden <= num_output
