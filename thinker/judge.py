"""Judges at each place of a reply about a chain whether everything so far is right.

Recomputes everything from the chain, line by line, so that it judges generated mistakes and the
thinker's own alike; a verdict never looks ahead. Knows nothing of how mistakes are made, or of
tokens.
"""

import re

from thinker.chain import Chain
from thinker.vocabulary import END, START, TURN_END

_STEP = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")
_PIECES = re.compile(r"(?<=\n)|(?<=\|>)|(?=<\|)")
LOOKS_BACK = "Wait,"
FINDS_NOTHING = "right"


def split_pieces(reply: str) -> list[str]:
    """Return a reply split after each line and around each special token, for judging."""
    return [piece for piece in _PIECES.split(reply) if piece]


class Judge:
    """Judge of one reply, which it reads piece by piece.

    In a thought the verdict is about the steps as written: a mistake stays wrong until, after
    "Wait,", a step that was right (or the one after it) is repeated. A thought that is closed
    before all steps are done is wrong; an answer is right if it is the result, whatever was
    thought.
    """

    def __init__(self, chain: Chain) -> None:
        values = chain.values
        self._steps = [
            (str(before), operation.sign, str(operation.operand), str(after))
            for before, operation, after in zip(
                values[:-1], chain.operations, values[1:], strict=True
            )
        ]
        self._result = str(chain.result)
        # Possible numbers of finished steps: several if steps are equal, none after a mistake.
        self._done = {0}
        self._reached = 0
        self._waits = False
        self._rest = ""  # of a line that has not ended
        self._thinks = False
        self._answer_is_right: bool | None = None

    def read(self, piece: str) -> bool | None:
        """Return whether all is right after `piece` of `split_pieces`; None: nothing is judged."""
        if not self._thinks:
            return self._read_answer(piece)
        if piece == END:
            return self._close()
        self._rest += piece
        if not piece.endswith("\n"):
            return None
        self._read_line(self._rest.removesuffix("\n"))
        self._rest = ""
        return bool(self._done)

    def _read_answer(self, piece: str) -> bool | None:
        if piece == START:
            self._thinks = True
            return True
        if piece != TURN_END:
            self._answer_is_right = piece == self._result
        return self._answer_is_right

    def _close(self) -> bool:
        # A step is complete without its line end; a part of one changes nothing.
        if _STEP.fullmatch(self._rest):
            self._read_line(self._rest)
        self._thinks, self._rest = False, ""
        return len(self._steps) in self._done

    def _read_line(self, line: str) -> None:
        if line == LOOKS_BACK:
            self._waits = True
        elif line not in ("", FINDS_NOTHING):
            step = _STEP.fullmatch(line)
            self._done = self._compute_done(step.groups()) if step else set()
            self._reached = max([self._reached, *self._done])
            self._waits = False

    def _compute_done(self, step: tuple[str, ...]) -> set[int]:
        begins = range(self._reached + 1) if self._waits else self._done
        return {begin + 1 for begin in begins if self._steps[begin : begin + 1] == [step]}
