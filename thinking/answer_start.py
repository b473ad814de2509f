"""Position at which a choice's answer starts, for a grammar that constrains the answer.

Replays the output tokens under the request's plan and remembers the first position where the
next token belongs to the answer. Tokens of a draft, which may still be rejected, are tried on a
copy. Does not know the grammar, nor what follows that position.
"""

from collections.abc import Sequence

from thinking.tracker import ThinkingTracker


class AnswerStart:
    """Start of one choice's answer.

    Invariant: once the answer has begun, it stays begun, however many tokens follow.
    """

    def __init__(self, tracker: ThinkingTracker) -> None:
        self._tracker = tracker
        self._num_read = 0

    @property
    def num_hidden(self) -> int | None:
        """Number of accepted output tokens before the answer; None until the answer begins."""
        return None if self._tracker.is_hidden else self._num_read

    def has_begun(
        self, token_ids: Sequence[int], num_prompt: int = 0, num_uncertain: int = 0
    ) -> bool:
        """Return whether the token after `token_ids` belongs to the answer.

        The first `num_prompt` of them are the prompt. The last `num_uncertain` may be replaced by
        others in a later call; the rest may not, and none of it is read twice: for a shorter
        sequence than before, the remembered position is used.
        """
        num_output = len(token_ids) - num_prompt
        while self._tracker.is_hidden and self._num_read < num_output - num_uncertain:
            self._tracker.advance(token_ids[num_prompt + self._num_read])
            self._num_read += 1
        if self.num_hidden is not None:
            return self.num_hidden <= num_output
        if not num_uncertain:
            return False
        preview = self._tracker.copy()
        for place in range(num_prompt + self._num_read, len(token_ids)):
            preview.advance(token_ids[place])
            if not preview.is_hidden:
                return True
        return False
